// What all the pages look like: a list of messages, a field, a stop button.

import { useState } from "react";
import { createRoot } from "react-dom/client";

// Calls a server action of the app (drive/site.mjs).
export async function action(name, params = {}) {
  const response = await fetch(`/${name}`, { method: "POST", body: JSON.stringify(params) });
  return response.json();
}

export function ChatView({ messages, sendMessage, regenerate, stop, status, error }) {
  const [input, setInput] = useState("");
  const submit = (event) => {
    event.preventDefault();
    sendMessage({ text: input });
    setInput("");
  };
  return (
    <main>
      {messages.map((message) => (
        <p key={message.id} className={message.role}>
          {message.parts.map((part, index) => part.type === "text" && <span key={index}>{part.text}</span>)}
        </p>
      ))}
      <output>{status}</output>
      <strong role="alert">{error?.message}</strong>
      <form onSubmit={submit}>
        <input value={input} onChange={(event) => setInput(event.target.value)} placeholder="Say something" />
        <button type="submit">Send</button>
        <button type="button" onClick={() => stop()}>Stop</button>
        <button type="button" onClick={() => regenerate()}>Again</button>
      </form>
    </main>
  );
}

export function render(page) {
  createRoot(document.getElementById("root")).render(page);
}
