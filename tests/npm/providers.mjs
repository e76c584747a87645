// Answers jobs with the real providers of the AI SDK under the real `streamText`: one JSON object a
// line in, one a line out, in order. A job names its `wire`, the `model`, what to send it (`messages`,
// `tools` and settings of `streamText`), and what comes back: the text of an event stream (`events`),
// or whatever the server at `baseURL` says.

import { createInterface } from "node:readline";
import { jsonSchema, streamText, tool } from "ai7";
import { anthropic, createAnthropic } from "anthropic7";
import { createOpenAI, openai } from "openai7";

globalThis.AI_SDK_LOG_WARNINGS = false;

const WIRES = {
  anthropic: (options, model) => createAnthropic(options).messages(model),
  chat: (options, model) => createOpenAI(options).chat(model),
  responses: (options, model) => createOpenAI(options).responses(model),
};

// A tool of the client's, which nobody runs here, or one of the provider's own: `native` is its maker.
function makeTool(wire, { inputSchema, native, args = {}, name, ...spec }) {
  if (native === undefined) return tool({ inputSchema: jsonSchema(inputSchema), ...spec });
  return (wire === "anthropic" ? anthropic : openai).tools[native](args);
}

// How the answer ended, on its last chunk.
function messageMetadata({ part }) {
  return part.type === "finish" ? { usage: part.totalUsage } : undefined;
}

async function answer({ wire, model, tools = [], events, baseURL, ...settings }) {
  let body = null;
  const fetch = async (url, init) => {
    body = JSON.parse(init.body);
    if (events === undefined) return globalThis.fetch(url, init);
    return new Response(events, { headers: { "content-type": "text/event-stream" } });
  };
  const chunks = [];
  const onError = (error) => String(error);
  const result = streamText({
    model: WIRES[wire]({ apiKey: "k", fetch, baseURL }, model),
    tools: Object.fromEntries(tools.map((spec) => [spec.name, makeTool(wire, spec)])),
    allowSystemInMessages: true,
    maxRetries: 0,
    onError: () => {},
    ...settings,
  });
  const stream = result.toUIMessageStream({ sendSources: true, messageMetadata, onError });
  try {
    for await (const chunk of stream) chunks.push(chunk);
  } catch (error) {
    chunks.push({ type: "error", errorText: onError(error) }); // a connection that was cut
  }
  return { body, chunks };
}

process.emitWarning = () => {};
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
