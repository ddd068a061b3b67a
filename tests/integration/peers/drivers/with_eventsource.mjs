// npm's eventsource comes back by itself, as a browser's does, and like it gives up on any status but 200.
import { createRequire } from "node:module"
import { cookie, say, targets } from "./contract.mjs"

const { EventSource } = createRequire(process.env.LAB_NODE + "/")("eventsource")
const types = process.env.LAB_TYPES.split(",")

for (const { at, url } of targets) {
  const source = new EventSource(url, {
    fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Cookie: cookie } })
  })
  let open = false
  source.onopen = () => { open = true; say(at, "open") }
  source.onerror = error => {
    const why = `${error.code ?? ""} ${error.message ?? ""}`
    say(at, source.readyState === EventSource.CLOSED ? "given up" : open ? "closed" : "failed", { why })
    open = false
  }
  for (const type of types) {
    source.addEventListener(type, ({ lastEventId, data }) => say(at, "event", { id: lastEventId, type, data }))
  }
}
