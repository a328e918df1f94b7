// A piano roll that moves with the music: time from left to right, pitch from low to high; louder notes are stronger.

// Seconds that are seen at once, and the share of them before the present.
const SEEN = 10;
const BEFORE = 0.35;
const [LOWEST, HIGHEST] = [21, 108];
// Of a note, in CSS pixels.
const THICKNESS = 4;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

export class Roll {
  constructor(canvas) {
    this.canvas = canvas;
    this.clear();
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  clear() {
    this.set([], []);
    this.show(0);
  }

  /** The notes of a piece, each { start, end, pitch, velocity }, and its hit points, { time }. */
  set(notes, hits) {
    [this.notes, this.hits, this.held] = [notes, hits, new Map()];
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

  /** The first moment that is seen. Where motion is unwanted, pages are turned. */
  get left() {
    return STILL.matches ? Math.floor(this.now / SEEN) * SEEN : Math.max(0, this.now - BEFORE * SEEN);
  }

  /** How long so many CSS pixels are. */
  seconds(pixels) {
    return (SEEN * pixels) / this.canvas.clientWidth;
  }

  /** The moment under a pointer. */
  time(event) {
    return this.left + this.seconds(event.clientX - this.canvas.getBoundingClientRect().left);
  }

  draw() {
    const { canvas, left } = this;
    const scale = devicePixelRatio;
    const [width, height] = [canvas.clientWidth * scale, canvas.clientHeight * scale].map(Math.round);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    // light-dark() is resolved in properties of colour only, not in custom ones.
    const [text, note, sounding] = [style.color, style.caretColor, style.columnRuleColor];
    const x = (time) => ((time - left) / SEEN) * width;
    const row = height / (HIGHEST - LOWEST + 1);
    context.clearRect(0, 0, width, height);

    context.fillStyle = text;
    context.font = `${11 * scale}px system-ui, sans-serif`;
    for (let second = Math.ceil(left); second < left + SEEN; second += 1) {
      context.globalAlpha = 0.12;
      context.fillRect(x(second), 0, scale, height);
      context.globalAlpha = 0.8;
      if (second % 2 === 0) context.fillText(`${second} s`, x(second) + 4 * scale, height - 5 * scale);
    }
    context.globalAlpha = 0.5;
    for (const { time } of this.hits) context.fillRect(x(time), 0, 2 * scale, height);

    for (const { start, end, pitch, velocity } of this.notes) {
      const last = end === Infinity ? Math.max(this.now, start + 0.1) : end;
      if (last < left || start > left + SEEN) continue;
      context.globalAlpha = 0.45 + (0.55 * velocity) / 127;
      context.fillStyle = start <= this.now && this.now < last ? sounding : note;
      context.fillRect(x(start), height - (pitch - LOWEST + 1) * row, Math.max(x(last) - x(start) - scale, 2 * scale), Math.max(row, THICKNESS * scale));
    }
    context.globalAlpha = 1;
    context.fillStyle = text;
    context.fillRect(x(this.now), 0, 2 * scale, height);
  }
}
