// An OPC UA server that shares no code with the collector: `node server.js peer.json`.
//
// peer.json (all but `folder` optional):
//   port            0 or left out: any free one
//   folder          where certificates live: pki/{own,trusted/certs,rejected}, and users/ alike for user certificates
//   policies, modes as plant.yml names them: ["None", "Basic256Sha256"], ["None", "Sign", "SignAndEncrypt"]
//   anonymous       true; users {"name": "password"}
//   trust           false; true trusts every client certificate
//   namespaces      URIs in the order of the namespace table, from 2 on; a tag's is `namespace` or the last one
//   tags            [{name, namespace, type, value, rate_hz, first, history, array}]: with rate_hz a counter that begins at
//                   `first` (0) and carries each value's own source time; else a constant that `write` changes
//   history_values  how many values a tag with history keeps (1000)
//   token_ms        the longest lifetime of a channel's security token
//   limits          operation limits such as {"maxMonitoredItemsPerCall": 100}; max_sessions
//   offered         a file to which each offered value is written, before it is offered: name,value,microseconds
// It says {"event": "ready", "url": …} and then answers each line {"do": …} of stdin with one line. It ends with stdin.
"use strict";

const fs = require("node:fs");
const net = require("node:net");
const path = require("node:path");
const readline = require("node:readline");
const {
  DataType, DataValue, MessageSecurityMode, OPCUACertificateManager, OPCUAServer, SecurityPolicy, StatusCodes, Variant,
  VariantArrayType, coerceInt64, coerceUInt64,
} = require("node-opcua");

const POLICIES = {
  None: SecurityPolicy.None,
  Basic256Sha256: SecurityPolicy.Basic256Sha256,
  Aes128Sha256RsaOaep: SecurityPolicy.Aes128_Sha256_RsaOaep,
  Aes256Sha256RsaPss: SecurityPolicy.Aes256_Sha256_RsaPss,
};
const config = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const tags = new Map();
let server;
let paused = false;

const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");

function variantOf(tag, value) {
  const dataType = DataType[tag.type];
  const one = (v) => (tag.type === "Int64" ? coerceInt64(v) : tag.type === "UInt64" ? coerceUInt64(v) : v);
  if (tag.type === "DateTime") return new Variant({ dataType, value: new Date(value) });
  if (Array.isArray(value)) return new Variant({ dataType, arrayType: VariantArrayType.Array, value: value.map(one) });
  return new Variant({ dataType, arrayType: VariantArrayType.Scalar, value: one(value) });
}

function addTag(given) {
  const tag = { type: "Double", value: 0, first: 0, ...given };
  const addressSpace = server.engine.addressSpace;
  const uri = tag.namespace || config.namespaces?.at(-1) || "urn:millwright:peer";
  const namespace = addressSpace.registerNamespace(uri);
  tag.variable = namespace.addVariable({
    organizedBy: addressSpace.rootFolder.objects,
    browseName: tag.name,
    nodeId: `s=${tag.name}`,
    dataType: tag.type,
    valueRank: Array.isArray(tag.value) ? 1 : -1,
    minimumSamplingInterval: 0, // every change is told, none waits for a sampling timer
    ...(tag.no_access ? { userAccessLevel: 0 } : {}),
  });
  if (tag.history) {
    addressSpace.installHistoricalDataNode(tag.variable, { maxOnlineValues: config.history_values || 1000 });
  }
  tag.count = tag.first;
  tag.began = Date.now();
  // Two of one name, in two namespaces: commands know the first.
  tags.set(tags.has(tag.name) ? `${uri};${tag.name}` : tag.name, tag);
  if (!tag.rate_hz) offer(tag, tag.value, Date.now());
  else offerDue(tag, tag.began);
}

function offer(tag, value, at, status = StatusCodes.Good) {
  if (config.offered) fs.appendFileSync(config.offered, `${tag.name},${value},${at * 1000}\n`);
  tag.variable.setValueFromSource(variantOf(tag, value), status, new Date(at));
}

// A late tick brings what was due with the source time that was its own.
function offerDue(tag, now) {
  const step = 1000 / tag.rate_hz;
  while (tag.began + (tag.count - tag.first) * step <= now) {
    offer(tag, tag.count, Math.round(tag.began + (tag.count - tag.first) * step));
    tag.count += 1;
  }
}

function tick() {
  const now = Date.now();
  for (const tag of tags.values()) if (tag.rate_hz && !paused) offerDue(tag, now);
}

const sessions = () => Object.values(server.engine._sessions);
const subscriptions = () => sessions().flatMap((session) => session.publishEngine.subscriptions);

const commands = {
  delete({ tag }) {
    server.engine.addressSpace.deleteNode(tags.get(tag).variable);
    tags.delete(tag);
  },
  add({ tag }) {
    addTag(tag);
  },
  write({ tag, value, status, at }) {
    offer(tags.get(tag), value, at || Date.now(), status ? StatusCodes[status] : StatusCodes.Good);
  },
  pause() {
    paused = true;
  },
  resume() {
    // What was due meanwhile was not measured.
    for (const tag of tags.values()) [tag.first, tag.began] = [tag.count, Date.now()];
    paused = false;
  },
  hang({ ms }) {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  },
  drop() {
    for (const endpoint of server.endpoints) endpoint.abruptlyInterruptChannels();
  },
  expire() {
    for (const session of sessions()) server.engine.closeSession(session.authenticationToken, true, "Timeout");
  },
  end_subscriptions() {
    for (const subscription of subscriptions()) subscription.terminate();
  },
  async trust() {
    await move("rejected", "trusted/certs");
  },
  async distrust() {
    await move("trusted/certs", "rejected");
  },
  status() {
    return {
      sessions: sessions().length,
      subscriptions: subscriptions().length,
      items: subscriptions().reduce((sum, subscription) => sum + subscription.monitoredItemCount, 0),
      offered: Object.fromEntries([...tags.values()].filter((t) => t.rate_hz).map((t) => [t.name, t.count])),
    };
  },
  async stop() {
    await server.shutdown();
    process.exit(0);
  },
};

async function move(from, to) {
  const store = server.serverCertificateManager;
  const folder = path.join(config.folder, "pki", from);
  for (const file of fs.readdirSync(folder)) {
    const pem = fs.readFileSync(path.join(folder, file));
    const der = require("node-opcua-crypto").convertPEMtoDER?.(pem.toString()) ?? pem;
    await (to === "rejected" ? store.rejectCertificate(der) : store.trustCertificate(der));
  }
}

async function freePort() {
  const probe = net.createServer();
  await new Promise((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

async function main() {
  const store = (name, accept) =>
    new OPCUACertificateManager({
      rootFolder: path.join(config.folder, name),
      automaticallyAcceptUnknownCertificate: accept,
    });
  const port = config.port || (await freePort());
  server = new OPCUAServer({
    port,
    host: "127.0.0.1",
    hostname: "127.0.0.1",
    securityPolicies: (config.policies || ["None"]).map((name) => POLICIES[name]),
    securityModes: (config.modes || ["None"]).map((name) => MessageSecurityMode[name]),
    allowAnonymous: config.anonymous !== false,
    userManager: { isValidUser: (name, password) => (config.users || {})[name] === password && password !== undefined },
    serverCertificateManager: store("pki", Boolean(config.trust)),
    userCertificateManager: store("users", false),
    maxConnectionsPerEndpoint: 100,
    ...(config.token_ms ? { defaultSecureTokenLifetime: config.token_ms } : {}),
    serverCapabilities: {
      maxSessions: config.max_sessions || 50,
      minSupportedSampleRate: 0,
      operationLimits: config.limits || {},
    },
  });
  await server.initialize();
  for (const uri of config.namespaces || []) server.engine.addressSpace.registerNamespace(uri);
  for (const tag of config.tags || []) addTag(tag);
  await server.start();
  setInterval(tick, 10);
  say({ event: "ready", url: `opc.tcp://127.0.0.1:${port}`, certificate: server.certificateFile });
  const lines = readline.createInterface({ input: process.stdin });
  for await (const line of lines) {
    try {
      const asked = JSON.parse(line);
      const answer = await commands[asked.do](asked);
      say({ done: asked.do, ...answer });
    } catch (error) {
      say({ error: String(error) });
    }
  }
  process.exit(0);
}

main().catch((error) => {
  say({ error: String(error.stack || error) });
  process.exit(1);
});
