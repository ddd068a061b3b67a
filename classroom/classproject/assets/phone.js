// A seat on a phone. What it sends waits in the browser's storage, numbered, until the class has it.
const at = id => document.getElementById(id)
const EVERY_MS = 2500
const KEY = "class board"
let seat = JSON.parse(localStorage.getItem(KEY) || "null"), place = null, sending = false

const save = () => localStorage.setItem(KEY, JSON.stringify(seat))
const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, "0")).join("")

async function ask(path, body) {
  const answer = await fetch(path, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    signal: AbortSignal.timeout(8000),
  })
  return { status: answer.status, body: await answer.json() }
}

at("join").onsubmit = async event => {
  event.preventDefault()
  const form = new FormData(at("join"))
  seat = { seat: seat?.seat || random(), nickname: form.get("nickname").trim(), sequence: 0, waiting: [], guessed: {}, seen: {} }
  at("wrong").hidden = true
  try {
    const { status, body } = await ask("/join", { seat: seat.seat, code: form.get("code").trim(), nickname: seat.nickname })
    if (status !== 200) throw new Error(body.error)
    seat.token = body.token
    save()
    show()
    deliver()
  } catch (error) {
    at("wrong").textContent = error.name === "TypeError" ? "no answer: try again" : error.message
    at("wrong").hidden = false
  }
}

function send(message) {
  at("refused").hidden = true
  seat.sequence += 1
  seat.waiting.push({ sequence: seat.sequence, ...message })
  save()
  show()
  deliver()
}

async function deliver() {
  if (sending || !seat?.token) return
  sending = true
  const messages = seat.waiting.slice(0, 50)
  try {
    const { status, body } = await ask("/seat", { seat: seat.seat, token: seat.token, messages })
    if (status === 403) return leave(body.error)  // another class, or this one began again
    if (status !== 200) throw new Error(body.error)
    place = body
    seat.waiting = seat.waiting.slice(messages.length)
    body.refused.forEach(one => takeBack(messages.find(message => message.sequence === one.sequence), one.why))
    save()
    at("state").hidden = true
  } catch (error) {
    const reached = error.name === "Error"  // the class's own words
    at("state").textContent = `${reached ? error.message : "out of reach"}: what you send waits here`
    at("state").hidden = false
  } finally {
    sending = false
  }
  show()
}

// A number that was not taken may be entered again; the class did not count it.
function takeBack(message, why) {
  if (message?.kind === "guess") delete seat.guessed[message.notebook]
  at("refused").textContent = `Not taken: ${why}`
  at("refused").hidden = false
}

function leave(why) {
  localStorage.removeItem(KEY)
  seat = place = null
  at("wrong").textContent = `${why}: join again`
  at("wrong").hidden = false
  show()
}

function show() {
  at("join").hidden = Boolean(seat?.token)
  at("seat").hidden = !seat?.token
  if (!seat?.token) return
  at("name").textContent = seat.nickname
  const count = seat.waiting.length
  at("waiting").textContent = count ? `${count} not sent yet` : ""
  if (!place) return
  const question = place.question, mine = question && seat.guessed[question.notebook]
  at("guess").hidden = !question || !question.open || mine !== undefined
  at("no-question").hidden = !at("guess").hidden
  at("no-question").textContent = !question ? "No question at the moment."
    : mine !== undefined ? `${question.text} Your guess: ${mine} ${question.unit}` : "The guesses are revealed."
  if (question) {
    at("question").textContent = question.text
    at("unit").textContent = question.unit
  }
  at("section").textContent = place.section.title
  at("landmark").textContent = place.section.landmark
  at("seen").hidden = !place.section.landmark
  at("seen").disabled = Boolean(seat.seen[place.section.index])
  at("hand").textContent = place.hand ? "Lower my hand" : "Raise my hand"
}

at("guess").onsubmit = event => {
  event.preventDefault()
  const guess = Number(at("number").value)
  seat.guessed[place.question.notebook] = guess
  at("number").value = ""
  send({ kind: "guess", notebook: place.question.notebook, guess, measured: null })
}
at("seen").onclick = () => {
  seat.seen[place.section.index] = true
  send({ kind: "seen", section: place.section.index })
}
at("hand").onclick = () => {
  place.hand = !place.hand
  send({ kind: "hand", up: place.hand })
}
show()
deliver()
setInterval(deliver, EVERY_MS)
