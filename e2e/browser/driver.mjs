// Drives a browser for a test: commands come as JSON lines on standard input, answers go as JSON lines to standard output, one for each.
// Usage: node driver.mjs OPTIONS, the JSON of Options in browser.go.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { chromium, firefox } from 'playwright-core'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const o = JSON.parse(process.argv[2])
const common = { locale: o.locale, viewport: { width: o.width, height: o.height } }
const launch = {
  chromium: () => chromium.launchPersistentContext(o.profile, {
    ...common, executablePath: '/usr/bin/chromium', headless: true, colorScheme: 'light', reducedMotion: 'reduce',
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--disable-features=Translate,OptimizationHints', '--allow-loopback-in-peer-connection', ...o.sound ? ['--autoplay-policy=no-user-gesture-required'] : [],
      ...o.bare ? [] : [`--use-fake-device-for-media-stream=device-count=${o.cameras}`, '--auto-select-desktop-capture-source=Entire screen'],
      ...o.bare || o.permissions ? [] : ['--use-fake-ui-for-media-stream'],
      ...o.microphone ? [`--use-file-for-fake-audio-capture=${o.microphone}`] : [],
      ...o.camera ? [`--use-file-for-fake-video-capture=${o.camera}`] : [],
    ],
  }),
  // Firefox as Debian packages it, by WebDriver BiDi: so the channel's name has it. What it would ask of other hosts goes to a proxy of the test's, which refuses and
  // counts it.
  firefox: async () => (await firefox.launch({
    channel: 'moz-firefox', executablePath: '/usr/bin/firefox-esr', timeout: 40_000,
    env: { ...process.env, MOZ_REMOTE_SETTINGS_DEVTOOLS: '1' }, // or it takes no other server of settings than Mozilla's
    firefoxUserPrefs: {
      'media.navigator.streams.fake': true, 'media.navigator.permission.disabled': true, 'media.navigator.audio.fake_frequency': o.tone, 'media.cubeb.force_sample_rate': 48000,
      'media.peerconnection.ice.loopback': true, 'media.autoplay.default': o.sound ? 0 : 1, 'ui.prefersReducedMotion': 1,
      'network.proxy.type': 1, 'network.proxy.no_proxies_on': '127.0.0.1, localhost', 'network.proxy.allow_bypass': false,
      ...Object.fromEntries(['http', 'ssl'].flatMap(kind => [[`network.proxy.${kind}`, '127.0.0.1'], [`network.proxy.${kind}_port`, o.proxy]])),
      'network.captive-portal-service.enabled': false, 'services.settings.server': 'data:,', 'browser.region.network.url': '', 'browser.search.geoSpecificDefaults': false,
      'media.gmp-manager.url': '', 'media.gmp-provider.enabled': false, 'app.update.enabled': false, 'dom.push.connection.enabled': false, 'toolkit.telemetry.server': '',
      'extensions.systemAddon.update.enabled': false, 'extensions.blocklist.enabled': false, 'security.remote_settings.intermediates.enabled': false,
      'browser.safebrowsing.provider.mozilla.updateURL': '', 'network.trr.mode': 5,
    },
  })).newContext(common),
}
const browser = await launch[o.engine]()
if (o.engine === 'chromium' && !o.bare) await browser.grantPermissions(o.permissions ?? ['camera', 'microphone'])
for (const path of o.scripts ?? []) await browser.addInitScript({ path })

const tabs = [], requests = [], faults = []
// The style with which this version of Playwright marks elements when it takes a picture: Firefox applies the page's policy to it, and says so.
const ours = 'sha256-YjaKGiklmzC6wjXA513HAMmzus8VE61XCOT+SmwNZWA='
// adopt follows what happens in a tab.
function adopt(page) {
  if (tabs.includes(page)) return
  tabs.push(page)
  page.setDefaultTimeout(20_000)
  page.on('request', r => requests.push(r.url()))
  page.on('websocket', w => requests.push(w.url()))
  page.on('console', m => {
    if (m.text().includes(ours)) return
    process.stderr.write(`${o.name}: ${m.text()}\n`)
    if (/Content.Security.Policy/i.test(m.text())) faults.push(m.text())
  })
  page.on('pageerror', e => {
    if (String(e).includes(ours)) return
    faults.push(String(e))
    process.stderr.write(`${o.name}: ${e.stack}\n`)
  })
}
browser.on('page', adopt)
if (!browser.pages().length) await browser.newPage()
browser.pages().forEach(adopt)

const commands = {
  open: (page, { url }) => page.goto(url, { waitUntil: 'commit' }).then(() => null),
  reload: page => page.reload({ waitUntil: 'commit' }).then(() => null),
  // duplicate opens the same page in another tab, which begins with the first one's sessionStorage.
  duplicate: async page => {
    const [copy] = await Promise.all([browser.waitForEvent('page'), page.evaluate('void open(location.href)')])
    adopt(copy)
    return tabs.indexOf(copy)
  },
  wait: (page, { on }) => page.waitForSelector(on, { timeout: 45_000 }).then(() => null),
  click: (page, { on }) => page.click(on),
  press: (page, { key }) => page.keyboard.press(key),
  down: (page, { key }) => page.keyboard.down(key),
  up: (page, { key }) => page.keyboard.up(key),
  choose: (page, { on, value }) => page.selectOption(on, value),
  eval: (page, { js }) => page.evaluate(js),
  text: (page, { on }) => page.locator(on).first().innerText(),
  offline: (_, { off }) => browser.setOffline(off),
  permit: async (_, { names }) => {
    await browser.clearPermissions()
    await browser.grantPermissions(names)
  },
  media: async (page, media) => {
    await page.emulateMedia(media)
    await page.evaluate(() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(null))))) // until it is drawn
  },
  size: (page, size) => page.setViewportSize(size),
  screenshot: (page, { file }) => page.screenshot({ path: file }).then(() => null),
  picture: async (page, { on }) => (await page.locator(on).first().screenshot()).toString('base64'),
  requests: () => requests,
  faults: () => faults,
  axe: async page => {
    if (!await page.evaluate('Boolean(window.axe)')) await page.evaluate(axe) // by the debugger, which the page's policy does not bind
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }))
    return found.violations.map(v => ({ id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.map(n => `${n.html.slice(0, 160)} ${n.failureSummary}`) }))
  },
}
for await (const line of createInterface({ input: process.stdin })) {
  const { command, tab, ...args } = JSON.parse(line)
  let answer
  try { answer = { result: await commands[command](tabs[tab], args) ?? null } } catch (e) { answer = { error: String(e) } }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
await (browser.browser() ?? browser).close()
