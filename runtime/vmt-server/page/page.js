// The page of the server: everything goes through its public interface (/openapi.json).

import { Roll } from "./roll.js";

const $ = (selector) => document.querySelector(selector);
const NOTES = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"];
// Options that have a place of their own, or need a file or raw frames.
const ELSEWHERE = ["takes", "seed", "tempo", "key", "scale", "intensity", "primer", "hits", "size", "fps"];
// How far the film may be from the music, in seconds.
const DRIFT = 0.06;

const video = $("#video");
const audio = new Audio();
const roll = new Roll($("#roll"));
let info;
// The film, its name, and its length where the browser knows it.
let film, filmName, filmSeconds;
// The job that is being composed, and what stops its upload or its events.
let job, running;
// The takes of the last job that was done, and the one that is heard.
let done, heard = 0;
// Switching and composing again must not mix with what was begun before.
let switches = 0;

class Refused extends Error {
  constructor(status, body) {
    super(body?.error?.message ?? `the server answered ${status}`);
    this.status = status;
  }
}

function headers() {
  const token = sessionStorage.getItem("token");
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/** Asks the server; asks for a token where it wants one. */
async function ask(path, options = {}) {
  const response = await fetch(path, { ...options, headers: { ...headers(), ...options.headers } });
  if (response.ok) return response;
  throw await refusal(response.status, await response.text());
}

async function refusal(status, text) {
  if (status === 401) $("#token").hidden = false;
  let body;
  try { body = JSON.parse(text); } catch { /* It is no answer of ours. */ }
  return new Refused(status, body);
}

function say(text) { $("#status").textContent = text; }

function fail(error) {
  $("#error").textContent = error instanceof TypeError ? "The server cannot be reached." : `${error.message[0].toUpperCase()}${error.message.slice(1)}.`;
  say("");
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

// What the server takes.

async function begin() {
  try {
    const [about, options] = await Promise.all(["/v1/info", "/v1/options"].map(async (path) => (await ask(path)).json()));
    info = about;
    $("[name=takes]").max = info.limits.takes;
    $("#more").replaceChildren(...options.filter((option) => !ELSEWHERE.includes(option.name)).map(field));
    $("#token").hidden = true;
    $("#error").textContent = "";
    say("");
    update();
  } catch (error) {
    if (error.status !== 503) return fail(error);
    say("The server is starting.");
    setTimeout(begin, 300);
  }
}

/** An input for an option, with its help. */
function field({ name, value, help, default: usual, choices }) {
  const label = document.createElement("label");
  const input = document.createElement(choices.length ? "select" : "input");
  input.name = name;
  if (choices.length) {
    input.append(...["", ...choices].map((choice) => new Option(choice || `${usual ?? "default"}`, choice)));
  } else if (value === null) {
    input.type = "checkbox";
    input.value = "true";
  } else {
    input.placeholder = usual ?? value;
  }
  const text = document.createElement("small");
  text.textContent = help;
  label.append(`${name.replaceAll("-", " ")} `, input, text);
  return label;
}

/** The options that are set, as pairs. */
function chosen() {
  const pairs = [...new FormData($("#form"))].filter(([, value]) => typeof value === "string" && value.trim() !== "");
  // A scale stands on a key.
  return pairs.filter(([name]) => name !== "scale" || pairs.some(([other]) => other === "key"));
}

function update() {
  $("#compose").disabled = !(info && film) || !!running;
  $("#cancel").hidden = !running;
}

// The film.

function take(file, name) {
  [film, filmName, filmSeconds] = [file, name, undefined];
  $("#error").textContent = "";
  forget();
  if (video.src) URL.revokeObjectURL(video.src);
  video.src = URL.createObjectURL(file);
  video.hidden = false;
  $("#stage").hidden = false;
  roll.clear();
  describe("");
  update();
}

function describe(more) {
  $("#chosen").textContent = `${filmName}, ${megabytes(film.size)}${filmSeconds ? `, ${clock(filmSeconds)}` : ""}${more}`;
}

video.addEventListener("loadedmetadata", () => {
  if (Number.isFinite(video.duration)) filmSeconds = video.duration;
  describe("");
});
video.addEventListener("error", () => {
  if (!film) return;
  video.hidden = true;
  describe(". This browser cannot show it, but music can be composed for it.");
});

$("#film").addEventListener("change", ({ target }) => { if (target.files[0]) take(target.files[0], target.files[0].name); });
$("#example").addEventListener("click", async () => {
  try {
    take(await (await ask("/example.mp4")).blob(), "The example");
  } catch (error) {
    fail(error);
  }
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("#drop").addEventListener(kind, (event) => {
    event.preventDefault();
    $("#drop").classList.toggle("over", kind === "dragover");
    const file = kind === "drop" && event.dataTransfer.files[0];
    if (file) take(file, file.name);
  });
}

// Composing.

$("#form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const limits = info.limits;
  $("#error").textContent = "";
  if (film.size > limits.bytes) return fail(new Error(`the film has ${megabytes(film.size)}, and this server takes at most ${megabytes(limits.bytes)}`));
  const part = chosen().some(([name]) => name === "end" || name === "start");
  if (filmSeconds > limits.seconds && !part) return fail(new Error(`the film lasts ${clock(filmSeconds)}, and this server takes at most ${clock(limits.seconds)}: choose a part of it with start and end, under More options`));
  stop();
  running = new AbortController();
  $("#progress").hidden = false;
  update();
  try {
    job = await upload(running.signal);
    await follow(running.signal);
    if (job.state !== "done") throw new Error(job.error?.message ?? `the job is ${job.state}`);
    await show();
  } catch (error) {
    if (!running?.signal.aborted) fail(error);
  }
  running = undefined;
  $("#progress").hidden = true;
  update();
});

/** Sends the film; XMLHttpRequest tells how far it is. */
function upload(signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/v1/compose?${new URLSearchParams(chosen())}`);
    const all = { ...headers(), Prefer: "respond-async", Accept: "audio/midi", "Content-Type": "application/octet-stream" };
    Object.entries(all).forEach(([name, value]) => request.setRequestHeader(name, value));
    $("#progress").removeAttribute("value");
    say("Sending the film.");
    request.upload.onprogress = ({ loaded, total }) => { $("#progress").value = loaded / total; };
    request.onload = async () => {
      if (request.status === 202) resolve(JSON.parse(request.responseText));
      else reject(await refusal(request.status, request.responseText));
    };
    request.onerror = () => reject(new TypeError());
    request.onabort = () => reject(new Error("cancelled"));
    signal.addEventListener("abort", () => request.abort());
    request.send(film);
  });
}

/** Listens to the job's events until it ends. */
async function follow(signal) {
  const response = await ask(`/v1/jobs/${job.id}/events`, { signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  roll.clear();
  for (let text = ""; ;) {
    const { value, done: over } = await reader.read();
    if (over) break;
    text += value;
    const messages = text.split("\n\n");
    text = messages.pop();
    for (const message of messages) {
      const line = (name) => message.split("\n").find((it) => it.startsWith(name))?.slice(name.length);
      const data = line("data: ");
      if (!data) continue;
      if (line("event: ") === "played") roll.play(JSON.parse(data).filter(({ take: lane }) => lane === 0));
      else report(JSON.parse(data));
    }
  }
  // A connection that was cut in the middle.
  if (!["done", "failed", "cancelled", "lost"].includes(job.state)) job = await (await ask(`/v1/jobs/${job.id}`, { signal })).json();
}

function report(news) {
  // Readers of screens are told of states, not of every second.
  if (news.state !== job.state || news.place !== job.place) {
    say(news.state === "queued" ? `Waiting: number ${news.place ?? 1} in the queue.` : news.state === "running" ? "Composing." : "");
  }
  job = news;
  if (news.progress === null || news.state === "queued") $("#progress").removeAttribute("value");
  else $("#progress").value = news.progress;
  roll.show(news.composed);
}

/** Stops what is being composed, and tells the server. */
function stop() {
  running?.abort();
  running = undefined;
  if (job && !["done", "failed"].includes(job.state)) {
    fetch(`/v1/jobs/${job.id}`, { method: "DELETE", headers: headers(), keepalive: true }).catch(() => {});
  }
  job = undefined;
}

$("#cancel").addEventListener("click", () => {
  stop();
  say("Cancelled.");
  $("#progress").hidden = true;
  update();
});
addEventListener("pagehide", stop);

// Listening.

function forget() {
  switches += 1;
  pause();
  if (audio.src) URL.revokeObjectURL(audio.src);
  audio.removeAttribute("src");
  done = undefined;
  for (const id of ["#player", "#takes", "#files"]) $(id).hidden = true;
}

async function show() {
  forget();
  done = { takes: job.takes, notes: [] };
  const choices = done.takes.map(({ take: rank, notes }, index) => {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "take", value: index, checked: index === 0 });
    input.addEventListener("change", () => listen(index).catch(fail));
    label.append(input, ` ${rank}: ${notes} notes`);
    return label;
  });
  $("#takes").replaceChildren($("#takes legend"), ...choices);
  $("#takes").hidden = done.takes.length < 2;
  await listen(0);
  const [best] = done.takes;
  say(`Done: ${best.notes} notes in ${best.duration.toFixed(1)} seconds.`);
}

/** Loads a take; the position stays. */
async function listen(index) {
  const mine = ++switches;
  const { files } = done.takes[index];
  const [sound, record] = await Promise.all([ask(files.wav).then((it) => it.blob()), ask(files.json).then((it) => it.json())]);
  if (mine !== switches) return;
  const [position, plays] = [audio.currentTime, !audio.paused];
  if (audio.src) URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(sound);
  audio.currentTime = position;
  heard = index;
  roll.set(record.notes, record.provenance.hits ?? []);
  roll.show(position);
  $("#position").max = record.seconds;
  const seen = `Piano roll of take ${index + 1}: ${record.notes.length} notes in ${record.seconds} seconds, from ${pitch(Math.min(...record.notes.map((note) => note.pitch)))} to ${pitch(Math.max(...record.notes.map((note) => note.pitch)))}`;
  $("#roll").ariaLabel = record.notes.length ? seen : "Piano roll without a note";
  $("#files").replaceChildren("Download ", ...Object.keys(files).map((kind) => download(kind, files[kind], index)));
  $("#files").hidden = $("#player").hidden = false;
  tell(position);
  if (plays) await play();
}

const pitch = (number) => `${NOTES[number % 12]}${Math.floor(number / 12) - 1}`;

/** A button, since a link could not send the token. */
function download(kind, path, index) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = kind;
  button.dataset.kind = kind;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const url = URL.createObjectURL(await (await ask(path)).blob());
      const link = Object.assign(document.createElement("a"), { href: url, download: `take${index + 1}.${kind}` });
      link.click();
      // The browser reads it after this.
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      fail(error);
    }
    button.disabled = false;
  });
  return button;
}

/** Where the film is when the music is at its beginning. */
const offset = () => Number.parseFloat(job?.options?.start ?? "0") || 0;

async function play() {
  if (audio.ended) audio.currentTime = 0;
  align(0);
  await Promise.all([audio.play(), video.hidden ? undefined : video.play().catch(() => {})]);
  $("#play").textContent = "Pause";
  requestAnimationFrame(frame);
}

function pause() {
  audio.pause();
  video.pause();
  $("#play").textContent = "Play";
}

/** Puts the film where the music is, if it is further away than this. */
function align(most) {
  const want = audio.currentTime + offset();
  if (!video.hidden && !video.seeking && Math.abs(video.currentTime - want) > most) video.currentTime = want;
}

function tell(position) {
  $("#position").value = position;
  $("#time").textContent = `${clock(position)} / ${clock(Number($("#position").max))}`;
}

function frame() {
  roll.show(audio.currentTime);
  tell(audio.currentTime);
  if (audio.ended) pause();
  if (audio.paused) return;
  align(DRIFT);
  requestAnimationFrame(frame);
}

function seek(position) {
  audio.currentTime = position;
  align(0);
  roll.show(position);
  tell(position);
}

$("#play").addEventListener("click", () => { if (audio.paused) play().catch(fail); else pause(); });
$("#position").addEventListener("input", ({ target }) => seek(Number(target.value)));
$("#roll").addEventListener("click", (event) => { if (done) seek(Math.min(roll.time(event), Number($("#position").max))); });
$("#own").addEventListener("change", ({ target }) => { video.muted = !target.checked; });

$("#token button").addEventListener("click", () => {
  sessionStorage.setItem("token", $("#token input").value);
  begin();
});

$("[name=key]").append(...NOTES.map((note) => new Option(note, note)));
begin();

// For tests.
window.page = { audio, roll, get heard() { return heard; } };
