// A user's web app: the pages of page/ on an origin of their own, and the server actions that they call.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { chat, defaultStorage } from "@trigger.dev/sdk/ai";
import { server } from "./server.mjs";
import { sessionToken } from "./transports.mjs";

const types = { ".html": "text/html", ".js": "text/javascript" };

// Serves `folder` and returns its URL. A page is opened as /NAME; `window.app` tells it task and server.
export async function open({ folder, task }) {
  const actions = {
    "/getChatToken": () => chat.createAccessToken(task),
    "/getSessionToken": ({ chatId }) => sessionToken(chatId),
    "/startSession": (params) => chat.createStartSessionAction(task)(params),
    "/loadTranscript": (params) => chat.createLoadTranscriptAction(defaultStorage, { limit: 50 })(params),
  };
  const site = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://site");
    const answered =
      request.method === "POST"
        ? callAction(request, response, actions[pathname])
        : sendPage(response, folder, pathname, { task, baseURL: server.url });
    answered.catch((error) => response.writeHead(500).end(String(error)));
  });
  await new Promise((resolve) => site.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${site.address().port}`;
}

async function callAction(request, response, action) {
  let body = "";
  for await (const chunk of request) body += chunk;
  const result = await action(JSON.parse(body));
  response.setHeader("content-type", "application/json").end(JSON.stringify(result));
}

async function sendPage(response, folder, pathname, app) {
  const type = types[extname(pathname)];
  if (type !== undefined) {
    response.setHeader("content-type", type).end(await readFile(join(folder, pathname)));
  } else if (pathname === "/favicon.ico") {
    response.writeHead(204).end();
  } else {
    const html = await readFile(join(folder, "page.html"), "utf8");
    const page = html.replaceAll("NAME", pathname.slice(1)).replace("APP", JSON.stringify(app));
    response.setHeader("content-type", "text/html").end(page);
  }
}
