// The server's interface; /openapi.json describes it.

const ENDED = ["done", "failed", "cancelled", "lost"];
const RECONNECTIONS = 5;

export class Refused extends Error {
  constructor(status, text, retryAfter) {
    let body;
    try { body = JSON.parse(text); } catch { /* Not from this server, but from a proxy before it. */ }
    super(body?.error?.message ?? `the server answered with status ${status}`);
    Object.assign(this, { status, retryAfter: Number(retryAfter) });
  }
}

function headers(more) {
  const token = sessionStorage.getItem("token");
  return { ...more, ...(token && { Authorization: `Bearer ${token}` }) };
}

export async function ask(path, { headers: more, ...options } = {}) {
  const response = await fetch(path, { ...options, headers: headers(more) });
  if (response.ok) return response;
  throw new Refused(response.status, await response.text(), response.headers.get("Retry-After"));
}

export const json = async (path, options) => (await ask(path, options)).json();
export const blob = async (path, options) => (await ask(path, options)).blob();

/** Starts a job and gives it. XMLHttpRequest tells how much is sent; fetch() cannot. */
export function start(film, options, files, signal, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", files.length ? "/v1/compose" : `/v1/compose?${new URLSearchParams(options)}`);
    for (const [name, value] of Object.entries(headers({ Prefer: "respond-async" }))) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    request.onload = () => {
      if (request.status === 202) resolve(JSON.parse(request.responseText));
      else reject(new Refused(request.status, request.responseText, request.getResponseHeader("Retry-After")));
    };
    request.onerror = () => reject(new TypeError("no connection"));
    request.onabort = () => reject(signal.reason);
    signal.addEventListener("abort", () => request.abort());
    if (files.length) {
      const form = new FormData();
      for (const [name, value] of [...options, ...files, ["film", film]]) form.append(name, value);
      request.send(form);
    } else {
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.send(film);
    }
  });
}

/** Follows a job to its end: `onJob` is given its state, `onPlayed` the notes. A broken connection is resumed. */
export async function follow(id, signal, onJob, onPlayed) {
  let state, last;
  for (let failures = 0; !ENDED.includes(state); ) {
    try {
      const response = await ask(`/v1/jobs/${id}/events`, { signal, headers: last && { "Last-Event-ID": last } });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ""; ; ) {
        const { value, done } = await reader.read();
        if (done) break;
        const messages = (text + value).split("\n\n");
        text = messages.pop();
        for (const message of messages) {
          const fields = Object.fromEntries(message.split("\n").map((line) => line.split(/: ?(.*)/s)));
          if (!fields.data) continue;
          const data = JSON.parse(fields.data);
          if (fields.event === "played") onPlayed(data);
          else {
            state = data.state;
            onJob(data);
          }
          last = fields.id ?? last;
          failures = 0;
        }
      }
      failures += 1;
      if (failures > RECONNECTIONS) throw new TypeError("no connection");
    } catch (error) {
      failures += 1;
      if (signal.aborted || error instanceof Refused || failures > RECONNECTIONS) throw error;
    }
    if (!ENDED.includes(state)) await new Promise((done) => setTimeout(done, 500));
  }
}

/** Cancels a job, also while the page is being closed. */
export const cancel = (id) => fetch(`/v1/jobs/${id}`, { method: "DELETE", headers: headers(), keepalive: true }).catch(() => {});
