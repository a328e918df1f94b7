// The page: a film's pictures to `compose`, its notes to a piano roll, to sound in step with the film, and to a MIDI file.

import { Bundle, compose, midi } from "./vmt.js";

const BUNDLE = new URL("../../onnx/vmt-beat/", import.meta.url);
const EXAMPLE = new URL("../../tests/data/demo.mp4", import.meta.url);
const LONGEST = 600;

const $ = (id) => document.getElementById(id);
const { options: form, status, progress, video, roll, result } = Object.fromEntries(
  ["options", "status", "progress", "video", "roll", "result"].map((id) => [id, $(id)]),
);
const say = (text) => (status.textContent = text);

["C", "C♯", "D", "E♭", "E", "F", "F♯", "G", "A♭", "A", "B♭", "B"].forEach((name, tonic) => {
  ["major", "minor"].forEach((mode, minor) => form.key.add(new Option(`${name} ${mode}`, 1 + tonic + 12 * minor)));
});

let bundle;
let notes = [];

async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status} ${response.statusText}`);
  return response.arrayBuffer();
}

/** Shows a film; resolves when its length is known. */
async function show(source) {
  stop();
  notes = [];
  if (video.src.startsWith("blob:")) URL.revokeObjectURL(video.src);
  video.src = source;
  await new Promise((resolve, reject) => {
    video.onloadeddata = resolve;
    video.onerror = () => reject(new Error("this browser cannot read the film"));
  });
  if (!(video.duration <= LONGEST)) throw new Error(`the film must last ${LONGEST} seconds at most, but lasts ${video.duration}`);
  result.hidden = false;
  $("compose").disabled = false;
  draw();
  say(`A film of ${video.duration.toFixed(1)} seconds.`);
}

/** The pictures that the model sees: RGB, planes one after the other. */
async function* pictures({ height, width, frame_ms }) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  const count = Math.max(Math.ceil((video.duration * 1000) / frame_ms), 1);
  for (let number = 0; number < count; number++) {
    const seeked = new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
    // The middle of the picture's share of time, as in the library.
    video.currentTime = Math.min(((number + 0.5) * frame_ms) / 1000, video.duration);
    await seeked;
    context.drawImage(video, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const picture = new Uint8Array(3 * height * width);
    for (let pixel = 0; pixel < height * width; pixel++) {
      for (let plane = 0; plane < 3; plane++) picture[plane * height * width + pixel] = data[4 * pixel + plane];
    }
    progress.value = (0.3 * (number + 1)) / count;
    yield picture;
  }
}

async function run() {
  video.pause();
  say("Loading the model …");
  bundle ??= await Bundle.load((name) => fetched(new URL(name, BUNDLE)));
  say("Looking at the film …");
  const seen = await Array.fromAsync(pictures(bundle.geometry));
  say("Composing …");
  notes = [];
  const seconds = video.duration;
  const [tempo, key, seed] = ["tempo", "key", "seed"].map((name) => Number(form[name].value));
  for await (const note of compose(bundle, seen, seconds, { tempo, key, seed })) {
    notes.push(note);
    progress.value = 0.3 + (0.7 * note.end) / seconds;
    draw();
    // Lets the page be drawn.
    await new Promise((resolve) => setTimeout(resolve));
  }
  URL.revokeObjectURL($("midi").href);
  $("midi").href = URL.createObjectURL(new Blob([midi(notes, tempo)], { type: "audio/midi" }));
  video.currentTime = 0;
  say(`${notes.length} notes. Play the film to hear them.`);
}

function draw() {
  const scale = devicePixelRatio;
  [roll.width, roll.height] = [roll.clientWidth * scale, roll.clientHeight * scale];
  const context = roll.getContext("2d");
  const x = (seconds) => (seconds / video.duration) * roll.width;
  const key = roll.height / 88;
  for (const { start, end, pitch, velocity } of notes) {
    context.fillStyle = `hsl(215 65% 50% / ${0.3 + (0.7 * velocity) / 127})`;
    context.fillRect(x(start), roll.height - (pitch - 20) * key, Math.max(x(end) - x(start), scale), Math.max(key, 2 * scale));
  }
  context.fillStyle = "#d03030";
  context.fillRect(x(video.currentTime), 0, 1.5 * scale, roll.height);
}

let audio;
let sounding = [];

function stop() {
  sounding.forEach((oscillator) => oscillator.stop());
  sounding = [];
}

/** Plays what is left of the music from where the film is. */
function play() {
  stop();
  audio ??= new AudioContext();
  audio.resume();
  const now = audio.currentTime - video.currentTime / video.playbackRate;
  for (const { start, end, pitch, velocity } of notes) {
    if (end <= video.currentTime) continue;
    const [from, to] = [start, end].map((time) => Math.max(now + time / video.playbackRate, audio.currentTime));
    const [oscillator, gain] = [new OscillatorNode(audio, { type: "triangle", frequency: 440 * 2 ** ((pitch - 69) / 12) }), new GainNode(audio)];
    gain.gain.setValueAtTime(0.2 * (velocity / 127) ** 2, from);
    gain.gain.exponentialRampToValueAtTime(0.001, from + 2.5);
    gain.gain.setTargetAtTime(0, to, 0.05);
    oscillator.connect(gain).connect(audio.destination);
    oscillator.start(from);
    oscillator.stop(to + 0.4);
    sounding.push(oscillator);
  }
}

function follow() {
  draw();
  if (!video.paused) requestAnimationFrame(follow);
}

video.onplaying = () => (play(), follow());
video.onpause = video.onwaiting = stop;
video.onseeked = () => (video.paused ? draw() : play());
video.onratechange = () => video.paused || play();
addEventListener("resize", draw);

/** Does `work` with all controls off; says what went wrong. */
async function busy(work) {
  const controls = [...form.elements].filter((control) => !control.disabled);
  controls.forEach((control) => (control.disabled = true));
  try {
    await work();
  } catch (error) {
    say(`It did not work: ${error.message}`);
  } finally {
    progress.hidden = true;
    controls.forEach((control) => (control.disabled = false));
  }
}

form.film.onchange = () => form.film.files.length && busy(() => show(URL.createObjectURL(form.film.files[0])));
$("example").onclick = () => busy(() => show(EXAMPLE.href));
form.onsubmit = (event) => {
  event.preventDefault();
  progress.value = 0;
  progress.hidden = false;
  busy(run);
};
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const [film] = event.dataTransfer.files;
  if (film && !form.film.disabled) busy(() => show(URL.createObjectURL(film)));
});
