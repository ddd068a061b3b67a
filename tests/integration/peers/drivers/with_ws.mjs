// npm's ws does not come back by itself: the loop does, half a second later, as step 04's page begins to.
import { createRequire } from "node:module"
import { cookie, origin, say, targets } from "./contract.mjs"

const WebSocket = createRequire(process.env.LAB_NODE + "/")("ws")
const RETRY_MS = 500

function follow(at, url) {
  let open = false
  const socket = new WebSocket(url, { origin: origin(url), headers: { Cookie: cookie } })
  socket.on("open", () => { open = true; say(at, "open") })
  socket.on("message", data => say(at, "event", { data: data.toString() }))
  socket.on("error", error => open || say(at, "failed", { why: String(error) }))
  socket.on("close", code => {
    if (open) say(at, "closed", { code })
    setTimeout(follow, RETRY_MS, at, url)
  })
}

for (const { at, url } of targets) follow(at, url)
