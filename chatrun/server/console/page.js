// A chat with one task over the AI SDK's UI message stream. No framework, so that the page has
// nothing to build; whatever a task or a person says is only ever set as text.

const $ = (id) => document.getElementById(id);
const token = takeToken();
let task = "";
let chatId = "";
let shown = []; // UI messages, oldest first
let tasks = [];

// The token comes in the fragment, which is never sent anywhere, and goes out of the address bar.
function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  return given ?? sessionStorage.getItem("token") ?? "";
}

async function ask(method, path, body) {
  const headers = { authorization: `Bearer ${token}` };
  if (body !== undefined) headers["content-type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  const hint = answer.status === 401 ? " (open the URL that chatrun dev printed)" : "";
  throw new Error(`${told.error ?? answer.statusText}${hint}`);
}

// randomUUID is there only where the page comes over TLS or from this machine.
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const chatPath = () => `/api/chat/${encodeURIComponent(task)}/${encodeURIComponent(chatId)}`;

// --- what is shown ------------------------------------------------------------------------------

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

function partElement(part) {
  if (part.type === "text") return element("p", "", part.text);
  if (part.type === "reasoning") return element("p", "reasoning", part.text);
  if (part.type === "step-start") return null;
  return element("pre", "", JSON.stringify(part, null, 2));
}

function show(message) {
  const place = $("messages");
  const article = element("article", message.role, "");
  article.append(...message.parts.map(partElement).filter(Boolean));
  const index = shown.indexOf(message);
  if (place.children[index]) place.children[index].replaceWith(article);
  else place.append(article);
  place.scrollTop = place.scrollHeight;
}

function showAll(messages) {
  $("messages").replaceChildren();
  shown = messages;
  shown.forEach(show);
}

function showTask() {
  const info = tasks.find((known) => known.id === task);
  $("place").textContent = info?.file ? `${info.file}:${info.line}` : "";
}

function busy(running) {
  $("stop").hidden = !running;
  for (const id of ["send", "text", "new", "task"]) $(id).disabled = running || !task;
  if (!running) $("text").focus();
}

const notice = (text) => ($("notice").textContent = text);

// --- one answer ---------------------------------------------------------------------------------

async function* chunksOf(answer) {
  let rest = "";
  const texts = answer.body.pipeThrough(new TextDecoderStream());
  for await (const text of { [Symbol.asyncIterator]: () => iterate(texts.getReader()) }) {
    const events = (rest + text).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.startsWith("data: ") ? event.slice(6) : "[DONE]";
      if (data !== "[DONE]") yield JSON.parse(data);
    }
  }
}

// Not every browser can iterate over a stream itself.
const iterate = (reader) => ({ next: () => reader.read() });

function take(message, chunk) {
  const { parts } = message;
  const last = (test) => parts.findLast(test);
  const [, kind, step] = /^(text|reasoning)-(start|delta)$/.exec(chunk.type) ?? [];
  if (step === "start") parts.push({ type: kind, id: chunk.id, text: "" });
  else if (step === "delta") last((part) => part.id === chunk.id).text += chunk.delta;
  else if (chunk.type === "start" && chunk.messageId) message.id = chunk.messageId;
  else if (chunk.type.startsWith("tool-")) takeTool(parts, chunk);
  else if (/^(source-|file$|data-)/.test(chunk.type) && !chunk.transient) parts.push(chunk);
  else if (chunk.type === "error") notice(chunk.errorText);
}

function takeTool(parts, { type, ...fields }) {
  const call = parts.findLast((part) => part.toolCallId === fields.toolCallId);
  const part = call ?? { type: `tool-${fields.toolName ?? ""}`, toolCallId: fields.toolCallId };
  if (!call) parts.push(part);
  if (type === "tool-input-delta") part.input = (part.input ?? "") + fields.inputTextDelta;
  else Object.assign(part, fields, { state: type.slice("tool-".length) });
}

async function read(answer) {
  let message = { id: newId(), role: "assistant", parts: [] };
  for await (const chunk of chunksOf(answer)) {
    // An answer may go on with a message that is there already, as after a tool's approval.
    if (chunk.type === "start") message = byId(chunk.messageId) ?? message;
    if (!shown.includes(message)) shown.push(message);
    take(message, chunk);
    show(message);
  }
}

const byId = (id) => shown.find((message) => message.id === id);

async function answering(work) {
  notice("");
  busy(true);
  try {
    const answer = await work();
    if (answer.status !== 204) await read(answer);
  } catch (error) {
    notice(error.message);
  } finally {
    busy(false);
  }
}

// --- what a person does -------------------------------------------------------------------------

async function send(text) {
  const message = { id: newId(), role: "user", parts: [{ type: "text", text }] };
  shown.push(message);
  show(message);
  sessionStorage.setItem(`chat:${task}`, chatId);
  const body = { id: chatId, messages: shown, trigger: "submit-message" };
  await answering(() => ask("POST", `/api/chat/${encodeURIComponent(task)}`, body));
}

async function openChat() {
  showTask();
  showAll([]);
  // A chat is kept from its first message on; before, the server does not know it.
  const kept = sessionStorage.getItem(`chat:${task}`);
  chatId = kept ?? newId();
  if (kept) await loadTranscript();
  // Asking also tells the server that this chat resumes: a reload does not stop its answer.
  await answering(() => ask("GET", `${chatPath()}/stream`));
}

async function loadTranscript() {
  const path = `/api/v1/sessions/${encodeURIComponent(chatId)}/transcript?limit=200`;
  try {
    showAll((await (await ask("GET", path)).json()).messages);
  } catch (error) {
    notice(error.message);
  }
}

async function loadTasks() {
  const told = await (await ask("GET", "/api/v1/tasks")).json();
  tasks = told.tasks;
  $("task").replaceChildren(...tasks.map(({ id }) => new Option(id, id)));
  const broken = told.broken ?? [];
  $("broken").hidden = broken.length === 0;
  $("broken").textContent = broken
    .map(({ file, line, message }) => `${file}${line ? `:${line}` : ""}  ${message}`)
    .join("\n");
  task = tasks[0]?.id ?? "";
  if (!task) notice("There is no task yet: save a file with one, then reload this page.");
}

$("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  $("text").value = "";
  if (text) send(text);
});
$("stop").addEventListener("click", () => {
  ask("POST", `${chatPath()}/stop`).catch((error) => notice(error.message));
});
$("task").addEventListener("change", () => {
  task = $("task").value;
  openChat();
});
$("new").addEventListener("click", () => {
  sessionStorage.removeItem(`chat:${task}`);
  openChat();
});

try {
  await loadTasks();
  if (task) await openChat();
} catch (error) {
  notice(error.message);
}
