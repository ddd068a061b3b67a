// A board: the stream says that something changed, and Django renders what this board may see of it.
const body = document.body, picture = document.getElementById("picture"), state = document.getElementById("state")
const EVERY_MS = 15000  // silence grows without any event
let last = null, fetching = false, again = false

const show = text => { state.hidden = !text; state.textContent = text }
const count = (name, by) => { body.dataset[name] = Number(body.dataset[name]) + by }

async function refresh() {
  if (fetching) { again = true; return }
  fetching = true
  do {
    again = false
    try {
      const answer = await fetch("picture")
      if (!answer.ok) throw new Error(answer.status)
      const focused = document.activeElement && document.activeElement.id
      picture.innerHTML = await answer.text()  // rendered and escaped by Django
      if (focused) document.getElementById(focused)?.focus()
      body.dataset.pictures = Number(body.dataset.pictures || 0) + 1
    } catch {
      setTimeout(refresh, 1000)
    }
  } while (again)
  fetching = false
}

const source = new EventSource(`stream?after=${body.dataset.after}`)
source.addEventListener("hello", () => { show(""); body.dataset.stream = "open"; refresh() })
source.addEventListener("reset", () => { last = null; show(""); refresh() })
source.addEventListener("changed", event => {
  const { number } = JSON.parse(event.data)
  if (last !== null && number <= last) return count("twice", 1)
  if (last !== null) count("missed", number - last - 1)
  last = number
  refresh()
})
source.onerror = () => {
  body.dataset.stream = "lost"
  show(source.readyState === EventSource.CLOSED
    ? "the class has ended, or this address is not its own: see the terminal of ./lab class"
    : "connection lost, reconnecting by itself")
}
setInterval(refresh, EVERY_MS)

picture.addEventListener("click", async event => {
  const button = event.target.closest("button[data-order]")
  if (!button) return
  const answer = await fetch("act", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: button.dataset.order,
  }).catch(() => null)
  if (!answer || !answer.ok) show("not done: press it again")
})
