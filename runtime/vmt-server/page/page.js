// Composes for a film on the user's machine, and plays both.

import { blob, cancel, follow, json, start } from "./api.js";
import { Roll } from "./roll.js";

const $ = (selector) => document.querySelector(selector);
const NOTES = ["C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B"];
// Options that have a place of their own, or are for raw frames.
const ELSEWHERE = ["takes", "seed", "tempo", "key", "scale", "intensity", "size", "fps"];
// Where film and music are further apart, in seconds, the film jumps; less is made up for by its speed.
const JUMP = 0.3;

const video = $("#video");
const audio = new Audio();
const roll = new Roll($("#roll"));
let info;
let repeatable = [];
// Of the film; the length where the browser knows it.
let film, filmName, filmSeconds;
// What is being composed: { abort, id }.
let running;
// What was composed last: { takes, options, name, record }, and the take that is heard.
let done, heard;
// Counts changes of what is heard, since a slow answer must not replace a newer one.
let switches = 0;

const say = (text) => { $("#status").textContent = text; };
const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
const pitchName = (pitch) => `${NOTES[pitch % 12]}${Math.floor(pitch / 12) - 1}`;

function fail(error) {
  if (error.status === 401) {
    sessionStorage.removeItem("token");
    $("#token").hidden = false;
    $("#token input").focus();
  }
  const text = error instanceof TypeError ? "the server cannot be reached" : error.message;
  const later = error.status === 429 && error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
  $("#error").textContent = `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.${later}`;
  say("");
}

// Options.

async function begin() {
  try {
    const [about, options] = await Promise.all([json("/v1/info"), json("/v1/options")]);
    info = about;
    repeatable = options.filter((option) => option.repeatable).map(({ name }) => name);
    $("[name=takes]").max = info.limits.takes;
    const rest = options.filter(({ name }) => !ELSEWHERE.includes(name));
    const groups = [...new Set(rest.map(({ group }) => group))];
    $("#more").replaceChildren(...groups.flatMap((group) => {
      const title = document.createElement("h2");
      title.textContent = group;
      return [title, ...rest.filter((option) => option.group === group).map(field)];
    }));
    $("#token").hidden = true;
    $("#error").textContent = "";
    update();
  } catch (error) {
    fail(error);
    // It is being started.
    if (error.status === 503) setTimeout(begin, 1000 * (error.retryAfter || 5));
  }
}

/** An input for an option, with its help. */
function field({ name, value, help, default: usual, choices, repeatable, file }) {
  const label = document.createElement("label");
  const input = document.createElement(choices.length ? "select" : "input");
  input.name = name;
  if (choices.length) {
    input.append(new Option(usual ?? "default", ""), ...choices.map((choice) => new Option(choice)));
  } else if (value === null) {
    input.type = "checkbox";
    input.value = "true";
  } else if (file) {
    input.type = "file";
  } else {
    // A letter alone says nothing.
    input.placeholder = usual ?? (value.length > 1 ? value : "");
  }
  const text = document.createElement("small");
  const title = name.replaceAll("-", " ");
  // The help is that of the command line.
  text.textContent = help.replaceAll(/--([a-z-]+)/g, (_, other) => other.replaceAll("-", " ")) + (repeatable ? "; with spaces between them" : "");
  label.append(`${title[0].toUpperCase()}${title.slice(1)} `, input, text);
  return label;
}

/** The options that are set, and the files for options, as pairs. */
function chosen() {
  const shapes = { rising: `0:0.1,${filmSeconds ?? 60}:0.9`, falling: `0:0.9,${filmSeconds ?? 60}:0.1` };
  const all = [...new FormData($("#form"))];
  const files = all.filter(([, value]) => value instanceof File && value.size > 0);
  const options = all.filter(([, value]) => typeof value === "string" && value.trim() !== "").flatMap(([name, value]) => {
    if (repeatable.includes(name)) return value.trim().split(/[\s,;]+/).map((one) => [name, one]);
    return [[name, name === "intensity" ? shapes[value] ?? value : value.trim()]];
  });
  return { options, files };
}

function update() {
  const focused = document.activeElement;
  $("#compose").disabled = !info || !film || Boolean(running);
  $("#cancel").hidden = !running;
  $("#progress").hidden = !running;
  // Keyboards stay where the next step is.
  if (focused === $("#compose") && running) $("#cancel").focus();
  if (focused === $("#cancel") && !running) $("#compose").focus();
}

$("[name=key]").append(...NOTES.map((note) => new Option(note)));
$("[name=key]").addEventListener("change", ({ target }) => { $("[name=scale]").disabled = !target.value; });
$("#another").addEventListener("click", () => { $("#seed").value = Math.floor(Math.random() * 10000); });
$("#token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("#token input").value);
  begin();
});

// The film.

function take(file, name) {
  stop();
  forget();
  say("");
  $("#error").textContent = "";
  [film, filmName, filmSeconds] = [file, name, undefined];
  URL.revokeObjectURL(video.src);
  video.src = URL.createObjectURL(file);
  video.hidden = false;
  $("#stage").hidden = false;
  describe();
  update();
}

function describe(more = "") {
  $("#chosen").textContent = `${filmName}, ${megabytes(film.size)}${filmSeconds ? `, ${clock(filmSeconds)}` : ""}${more}`;
}

video.addEventListener("loadedmetadata", () => {
  if (Number.isFinite(video.duration)) filmSeconds = video.duration;
  describe();
});
video.addEventListener("error", () => {
  video.hidden = true;
  describe(". This browser cannot show it, but music can be composed for it and played.");
});

$("#film").addEventListener("change", ({ target }) => { if (target.files[0]) take(target.files[0], target.files[0].name); });
$("#example").addEventListener("click", async () => {
  try {
    take(await blob("/example.mp4"), "example.mp4");
    $("#film").value = "";
  } catch (error) {
    fail(error);
  }
});
// Anywhere on the page: a browser would leave it to show the film.
for (const kind of ["dragover", "dragleave", "drop"]) {
  addEventListener(kind, (event) => {
    event.preventDefault();
    $("#drop").classList.toggle("over", kind === "dragover");
    const file = kind === "drop" && event.dataTransfer.files[0];
    if (file) take(file, file.name);
  });
}

// Composing.

/** Why the server would refuse the film, as far as the browser knows. */
function refusal({ options }) {
  const { bytes, seconds, pixels } = info.limits;
  const takes = "and this server takes at most";
  if (film.size > bytes) return `the film has ${megabytes(film.size)}, ${takes} ${megabytes(bytes)}`;
  if (video.videoWidth * video.videoHeight > pixels) return `the film has ${video.videoWidth} × ${video.videoHeight} pixels, ${takes} ${pixels} pixels`;
  const part = options.some(([name]) => name === "start" || name === "end");
  if (filmSeconds > seconds && !part) return `the film lasts ${clock(filmSeconds)}, ${takes} ${clock(seconds)}: set start and end, under More options`;
  return undefined;
}

$("#form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("#error").textContent = "";
  const request = chosen();
  const reason = refusal(request);
  if (reason) return fail(new Error(reason));
  pause();
  const mine = { abort: new AbortController() };
  const { signal } = mine.abort;
  running = mine;
  $("#progress").removeAttribute("value");
  say("Sending the film.");
  update();
  try {
    const { id } = await start(film, request.options, request.files, signal, (share) => { $("#progress").value = share; });
    mine.id = id;
    roll.clear();
    $("#player").hidden = true;
    let job = {};
    const report = (news) => {
      // Screen readers are told of changes, not of every second.
      if (news.state !== job.state || news.place !== job.place) say(describeState(news));
      job = news;
      if (news.state === "running" && news.progress !== null) $("#progress").value = news.progress;
      else $("#progress").removeAttribute("value");
      roll.show(news.composed);
    };
    await follow(id, signal, report, (events) => roll.play(events.filter(({ take: lane }) => lane === 0)));
    if (job.state !== "done") throw new Error(job.error?.message ?? "the server stopped before the music was composed");
    // It has ended: leaving the page now must not delete it.
    mine.id = undefined;
    await show(job);
  } catch (error) {
    if (signal.aborted) return undefined;
    fail(error);
    restore();
  }
  running = undefined;
  update();
  return undefined;
});

function describeState({ state, place }) {
  if (state === "queued") return place > 1 ? `Waiting: number ${place} in the queue.` : "Waiting: next in the queue.";
  return state === "running" ? "Composing." : "";
}

/** Stops what is being composed, here and on the server. */
function stop() {
  if (!running) return;
  running.abort.abort();
  if (running.id) cancel(running.id);
  running = undefined;
  say("Cancelled.");
  restore();
  update();
}

$("#cancel").addEventListener("click", stop);
addEventListener("pagehide", stop);

// Listening.

/** Forgets what was composed. */
function forget() {
  switches += 1;
  pause();
  URL.revokeObjectURL(audio.src);
  audio.removeAttribute("src");
  audio.load();
  [done, heard] = [undefined, undefined];
  roll.clear();
  $("#roll").ariaLabel = "Piano roll, empty";
  for (const id of ["#player", "#takes", "#files"]) $(id).hidden = true;
}

/** Shows the music that was composed before, if there is any. */
function restore() {
  roll.clear();
  if (!done?.record) return;
  roll.set(done.record.notes, done.record.provenance?.hits ?? []);
  roll.show(audio.currentTime);
  $("#player").hidden = false;
}

async function show(job) {
  forget();
  done = { takes: job.takes, options: job.options, name: filmName.replace(/\.[^.]*$/, "") };
  const choices = document.createElement("div");
  choices.append(...done.takes.map(({ take: rank, notes }, index) => {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "heard", value: index, checked: index === 0 });
    input.addEventListener("change", () => listen(index).catch(fail));
    label.append(input, `${rank}: ${notes} notes`);
    return label;
  }));
  $("#takes").replaceChildren($("#takes legend"), choices);
  $("#takes").hidden = done.takes.length < 2;
  ownSound(Number(done.options["original-volume"] ?? 0));
  await listen(0);
  const { notes, duration } = done.takes[0];
  say(`Done: ${notes} notes in ${duration.toFixed(1)} seconds.`);
}

/** Changes to a take; the position stays. */
async function listen(index) {
  const mine = ++switches;
  const { files } = done.takes[index];
  const [sound, record] = await Promise.all([blob(files.wav), json(files.json)]);
  if (mine !== switches) return;
  const [position, plays] = [audio.currentTime, !audio.paused];
  URL.revokeObjectURL(audio.src);
  audio.src = URL.createObjectURL(sound);
  audio.currentTime = position;
  [done.record, heard] = [record, index];
  $("#position").max = record.seconds;
  restore();
  const pitches = record.notes.map(({ pitch }) => pitch).sort((a, b) => a - b);
  const range = pitches.length ? `, from ${pitchName(pitches[0])} to ${pitchName(pitches.at(-1))}` : "";
  $("#roll").ariaLabel = `Piano roll of take ${index + 1}: ${pitches.length} notes in ${record.seconds} seconds${range}`;
  $("#files").replaceChildren("Download", ...info.formats.filter((kind) => files[kind]).map((kind) => download(kind, files[kind], index)));
  $("#files").hidden = false;
  tell(position);
  if (plays) await play();
}

/** A button, since a link could not send the token. */
function download(kind, path, index) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: kind });
  button.dataset.kind = kind;
  const name = `${done.name}-take${index + 1}.${kind}`;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const url = URL.createObjectURL(await blob(path));
      Object.assign(document.createElement("a"), { href: url, download: name }).click();
      // The browser reads it after this.
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      fail(error);
    }
    button.disabled = false;
  });
  return button;
}

/** The moment of the film that is seen with the music's present one. The option is seconds, m:s or h:m:s. */
function filmTime() {
  const begin = (done?.options.start ?? "0").split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
  return Math.min(begin + audio.currentTime, video.duration || Infinity);
}

/** Keeps the film with the music. */
function align(most) {
  if (video.hidden || video.seeking) return;
  const late = filmTime() - video.currentTime;
  if (Math.abs(late) > most) video.currentTime = filmTime();
  video.playbackRate = Math.min(Math.max(1 + 2 * late, 0.5), 1.5);
}

async function play() {
  if (audio.ended) audio.currentTime = 0;
  align(0);
  $("#play").textContent = "Pause";
  await Promise.all([audio.play(), video.hidden ? undefined : video.play().catch(() => {})]);
  requestAnimationFrame(frame);
}

function pause() {
  audio.pause();
  video.pause();
  $("#play").textContent = "Play";
}

function tell(position) {
  $("#position").value = position;
  const text = `${clock(position)} / ${clock(Number($("#position").max))}`;
  $("#position").setAttribute("aria-valuetext", `${position.toFixed(1)} seconds`);
  $("#time").textContent = text;
}

function frame() {
  if (audio.ended) pause();
  roll.show(audio.currentTime);
  tell(audio.currentTime);
  if (audio.paused) return;
  align(JUMP);
  requestAnimationFrame(frame);
}

function seek(position) {
  audio.currentTime = position;
  align(0);
  roll.show(position);
  tell(position);
}

const within = (position) => Math.min(Math.max(position, 0), Number($("#position").max));

function ownSound(volume) {
  $("#own input").value = volume;
  video.volume = volume;
  video.muted = volume === 0;
}

$("#play").addEventListener("click", () => { if (audio.paused) play().catch(fail); else pause(); });
$("#position").addEventListener("input", ({ target }) => seek(Number(target.value)));
$("#own input").addEventListener("input", ({ target }) => ownSound(Number(target.value)));

// The roll is dragged like paper; a click goes to the moment under it.
let drag;
$("#roll").addEventListener("pointerdown", (event) => {
  if ($("#player").hidden) return;
  drag = { x: event.clientX, position: audio.currentTime, moved: false };
  event.target.setPointerCapture(event.pointerId);
});
$("#roll").addEventListener("pointermove", (event) => {
  if (!drag) return;
  const distance = event.clientX - drag.x;
  drag.moved ||= Math.abs(distance) > 4;
  if (drag.moved) seek(within(drag.position - roll.seconds(distance)));
});
$("#roll").addEventListener("pointerup", (event) => {
  if (drag && !drag.moved) seek(within(roll.time(event)));
  drag = undefined;
});
$("#roll").addEventListener("pointercancel", () => { drag = undefined; });

begin();

// For tests.
window.page = { audio, roll, get heard() { return heard; } };
