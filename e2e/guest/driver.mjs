// Drives one page in a Chromium of its own: commands come as JSON lines on standard input, answers go as JSON lines to standard output.
// Usage: node driver.mjs OPTIONS.json, with { profile, microphone, camera, devices, permissions, scripts, locale, scheme, width, height, recorded }.
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const require = createRequire(new URL('../browser/package.json', import.meta.url))
const { chromium } = require('playwright-core')
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8')
const o = JSON.parse(process.argv[2])
const browser = await chromium.launchPersistentContext(o.profile, {
  executablePath: '/usr/bin/chromium', headless: true, locale: o.locale ?? 'en-GB', colorScheme: o.scheme ?? 'light', reducedMotion: 'reduce',
  viewport: { width: o.width ?? 1280, height: o.height ?? 800 },
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--disable-features=Translate,OptimizationHints', '--allow-loopback-in-peer-connection',
    ...o.devices === false ? [] : ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream', '--auto-select-desktop-capture-source=Entire screen'],
    ...o.microphone ? [`--use-file-for-fake-audio-capture=${o.microphone}`] : [],
    ...o.camera ? [`--use-file-for-fake-video-capture=${o.camera}`] : [],
  ],
})
if (o.devices !== false) await browser.grantPermissions(o.permissions ?? ['camera', 'microphone'])
if (o.recorded) await browser.addInitScript(text => sessionStorage.setItem('recorded', text), JSON.stringify(o.recorded))
for (const path of o.scripts ?? []) await browser.addInitScript({ path })
const page = browser.pages()[0]
page.setDefaultTimeout(20_000)
const requests = [], faults = []
page.on('request', r => requests.push(r.url()))
page.on('websocket', w => requests.push(w.url()))
page.on('console', m => {
  process.stderr.write(`${o.name ?? 'chromium'}: ${m.text()}\n`)
  if (/Content.Security.Policy/i.test(m.text())) faults.push(m.text())
})
page.on('pageerror', e => { faults.push(String(e)); process.stderr.write(`${o.name ?? 'chromium'}: ${e.stack}\n`) })

const commands = {
  open: ({ url }) => page.goto(url, { waitUntil: 'commit' }).then(() => null),
  reload: () => page.reload({ waitUntil: 'commit' }).then(() => null),
  wait: ({ on }) => page.waitForSelector(on, { timeout: 45_000 }).then(() => null),
  click: ({ on }) => page.click(on),
  fill: ({ on, text }) => page.fill(on, text),
  press: ({ key }) => page.keyboard.press(key),
  down: ({ key }) => page.keyboard.down(key),
  up: ({ key }) => page.keyboard.up(key),
  eval: ({ js }) => page.evaluate(js),
  text: ({ on }) => page.locator(on).first().innerText(),
  offline: ({ off }) => browser.setOffline(off === 'true'),
  scheme: async ({ scheme }) => {
    await page.emulateMedia({ colorScheme: scheme })
    await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))) // until it is drawn
  },
  size: ({ width, height }) => page.setViewportSize({ width: Number(width), height: Number(height) }),
  screenshot: ({ file }) => page.screenshot({ path: file }).then(() => null),
  picture: async ({ on }) => (await page.locator(on).first().screenshot()).toString('base64'),
  requests: () => requests,
  faults: () => faults,
  axe: async () => {
    await page.evaluate(axe) // by the debugger, which the page's policy does not bind
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
    return found.violations.map(v => ({ id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map(n => `${n.html.slice(0, 160)} ${n.failureSummary}`) }))
  },
}
for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...args } = JSON.parse(line)
  let answer
  try { answer = { result: await commands[command](args) ?? null } } catch (e) { answer = { error: String(e) } }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
await browser.close()
