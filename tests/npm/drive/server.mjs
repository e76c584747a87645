// The chatrun server that everything in this process speaks to: {url, secret}.

import { configure } from "@trigger.dev/sdk";

export const server = {};

export function connect({ url, secret }) {
  Object.assign(server, { url, secret });
  configure({ baseURL: url, accessToken: secret });
}
