// Drives one LiveKit web participant in Chromium: commands come as JSON lines on standard input, answers go as JSON lines to standard output.
// Usage: node participant.mjs PAGE_URL SPEECH.wav
import { chromium } from 'playwright-core'
import { createInterface } from 'node:readline'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [page_url, speech] = process.argv.slice(2)
const profile = mkdtempSync(join(tmpdir(), 'passerelle-chromium-'))
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${speech}`,
    '--allow-loopback-in-peer-connection', '--autoplay-policy=no-user-gesture-required',
  ],
})
const page = await browser.newPage()
page.on('console', m => process.stderr.write(`chromium: ${m.text()}\n`))
await page.goto(page_url)

const commands = {
  join: ({ url, token }) => page.evaluate(([u, t]) => join(u, t), [url, token]),
  people: () => page.evaluate(() => people()),
  record: () => page.evaluate(() => record()),
  recorded: () => page.evaluate(() => recorded()),
  screenshot: ({ file }) => page.screenshot({ path: file }).then(() => null),
}
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...args } = JSON.parse(line)
  let answer
  try { answer = { result: await commands[command](args) ?? null } } catch (e) { answer = { error: String(e) } }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
await browser.close()
rmSync(profile, { recursive: true, force: true })
