// Drives one LiveKit web participant in Chromium: commands come as JSON lines on standard input, answers go as JSON lines to standard output.
// Usage: node participant.mjs PAGE_URL PROFILE_DIRECTORY SPEECH.wav
import { chromium } from 'playwright-core'
import { createInterface } from 'node:readline'

const [pageURL, profile, speech] = process.argv.slice(2)
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  viewport: { width: 520, height: 640 },
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', `--use-file-for-fake-audio-capture=${speech}`,
    '--allow-loopback-in-peer-connection', '--autoplay-policy=no-user-gesture-required',
  ],
})
const page = browser.pages()[0]
page.on('console', m => process.stderr.write(`chromium: ${m.text()}\n`))
page.on('pageerror', e => process.stderr.write(`chromium: ${e}\n`))
await page.goto(pageURL)

const commands = {
  enter: ({ url, token }) => page.evaluate(([u, t]) => enter(u, t), [url, token]),
  leave: () => page.evaluate(() => leave()),
  people: () => page.evaluate(() => people()),
  waiting: () => page.evaluate(() => waiting),
  decide: ({ verdict, call }) => page.evaluate(([v, c]) => decide(v, c), [verdict, call]),
  record: () => page.evaluate(() => record()),
  recorded: ({ which }) => page.evaluate(w => recorded(w), which),
  screenshot: ({ file }) => page.screenshot({ path: file }).then(() => null),
}
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...args } = JSON.parse(line)
  let answer
  try { answer = { result: await commands[command](args) ?? null } } catch (e) { answer = { error: String(e) } }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
await browser.close()
