// A piano roll that moves with the music: time from left to right, pitch from low to high, darker notes are louder.

// Seconds that are seen at once, and the share of them before the present.
const SEEN = 10;
const BEFORE = 0.35;
const [LOWEST, HIGHEST] = [21, 108];

export class Roll {
  constructor(canvas) {
    this.canvas = canvas;
    this.clear();
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  clear() {
    [this.notes, this.hits, this.held, this.now] = [[], [], new Map(), 0];
    this.draw();
  }

  /** The notes of a piece, each { start, end, pitch, velocity }, and its hit points, { time }. */
  set(notes, hits) {
    [this.notes, this.hits] = [notes, hits];
    this.held.clear();
  }

  /** Takes events of the server as they come. */
  play(events) {
    for (const { time, event, pitch, velocity } of events) {
      const note = this.held.get(pitch);
      if (note) note.end = time;
      this.held.delete(pitch);
      if (event === "note_on") {
        // Until its end is known.
        const begun = { start: time, end: Infinity, pitch, velocity };
        this.notes.push(begun);
        this.held.set(pitch, begun);
      }
    }
  }

  /** Moves to a moment. */
  show(now) {
    this.now = now;
    this.draw();
  }

  /** The first moment that is seen. */
  get left() { return Math.max(0, this.now - BEFORE * SEEN); }

  /** The moment under a click. */
  time(event) {
    const box = this.canvas.getBoundingClientRect();
    return this.left + (SEEN * (event.clientX - box.left)) / box.width;
  }

  draw() {
    const { canvas, left } = this;
    const scale = devicePixelRatio;
    const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale].map(Math.round);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    const x = (time) => ((time - left) / SEEN) * width;
    const row = height / (HIGHEST - LOWEST + 1);
    const colour = getComputedStyle(canvas).color;
    context.clearRect(0, 0, width, height);
    context.fillStyle = colour;
    for (const { time } of this.hits) {
      context.globalAlpha = 0.5;
      context.fillRect(x(time), 0, scale, height);
    }
    for (const { start, end, pitch, velocity } of this.notes) {
      const until = Math.min(end, Math.max(this.now, start + 0.1));
      const last = end === Infinity ? until : end;
      if (last < left || start > left + SEEN) continue;
      const sounds = start <= this.now && this.now < last;
      context.globalAlpha = 0.35 + (0.65 * velocity) / 127;
      context.fillStyle = sounds ? "#2f8f5b" : "#2f6fd0";
      context.fillRect(x(start), height - (pitch - LOWEST + 1) * row, Math.max(x(last) - x(start) - scale, 2 * scale), Math.max(row, 2 * scale));
    }
    context.globalAlpha = 1;
    context.fillStyle = colour;
    context.fillRect(x(this.now), 0, 2 * scale, height);
  }
}
