// The AI SDK itself, on Hono: `node ai_sdk.mjs PORT`, beside a node_modules with its packages.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.BENCH_NODE_FOLDER}/package.json`);
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { serve } = await load("@hono/node-server");
const { Hono } = await load("hono");
const { convertToModelMessages, streamText } = await load("ai");
const { createOpenAICompatible } = await load("@ai-sdk/openai-compatible");

const provider = createOpenAICompatible({
  name: "bench",
  baseURL: `${process.env.BENCH_MODEL_URL}/v1`,
  apiKey: "bench",
});
const app = new Hono();

app.post("/api/chat", async (c) => {
  const { messages } = await c.req.json();
  const result = streamText({
    model: provider(messages.at(-1).parts[0].text),
    messages: await convertToModelMessages(messages),
    abortSignal: c.req.raw.signal,
  });
  return result.toUIMessageStreamResponse();
});

serve({ fetch: app.fetch, hostname: "127.0.0.1", port: Number(process.argv[2]) });
