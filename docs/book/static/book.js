// Guess first, wide tables as cards, everything open in print, and a search that works from a disk. Without scripts
// nothing is hidden.
"use strict";

const every = (selector, root = document) => [...root.querySelectorAll(selector)];

function hideAnswers() {
  const blocks = every("article section > *:not(section)");
  const guesses = blocks.filter((block) => block.matches(".lab-guess"));
  if (!guesses.length) return;
  const showUntil = (end) => blocks.forEach((block, at) => block.classList.toggle("lab-later", at > end));
  const next = (after) => blocks.findIndex((block, at) => at > after && guesses.includes(block));
  const showAfter = (at) => showUntil(next(at) < 0 ? blocks.length : next(at));
  guesses.forEach((guess) => {
    guess.querySelector("button").addEventListener("click", (event) => {
      const value = guess.querySelector("input").value.trim();
      guess.querySelector("label").textContent = value ? `You guessed: ${value}` : "You made no guess.";
      event.target.remove();
      showAfter(blocks.indexOf(guess));
    });
    guess.querySelector("input").addEventListener("keydown", (event) => {
      if (event.key === "Enter") guess.querySelector("button").click();
    });
  });
  showUntil(blocks.indexOf(guesses[0]));
  const showTarget = () => {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (target && target.querySelector(":scope > .lab-later")) showUntil(blocks.length), target.scrollIntoView();
  };
  addEventListener("hashchange", showTarget);
  showTarget();
}

function labelCells() {
  every("article table").forEach((table) => {
    const heads = every("thead th", table).map((head) => head.textContent.trim());
    every("tbody tr", table).forEach((row) =>
      [...row.children].forEach((cell, at) => (cell.dataset.label = heads[at] || "")));
  });
}

function searchFromDisk() {
  const texts = new Promise((loaded) => {
    const script = document.createElement("script");
    script.src = new URL("_static/texts.js", location.href);
    script.onload = () => loaded(window.bookTexts);
    document.head.append(script);
  });
  window.fetch = async (address) => {
    const name = String(address).replace(/^\.\//, "").replace(/\.html.*$/, "");
    const main = document.createElement("div");
    main.setAttribute("role", "main");
    main.textContent = (await texts)[name] || "";
    return new Response(main.outerHTML);
  };
}

if (/search\.html$/.test(location.pathname)) searchFromDisk();
addEventListener("DOMContentLoaded", () => { hideAnswers(); labelCells(); });
addEventListener("beforeprint", () => every("details:not(.above-input)").forEach((one) => (one.open = true)));
