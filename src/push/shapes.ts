/** The messages of `fourways.push.v1` by their field numbers: push.proto, which the tests hold this against. */
import type { Shape } from './codec.ts';

const HOLDING = { version: [1, 'string'], secrets: [2, 'string'] } as const satisfies Shape;

const ADDRESS = { address: [1, 'string'], port: [2, 'uint32'] } as const satisfies Shape;

const TRUSTS = { bundle: [1, 'string'], issuer: [2, 'string'] } as const satisfies Shape;

const HELLO = {
  protocol: [1, 'uint32'],
  software: [2, 'string'],
  instance: [3, 'string'],
  role: [4, 'string'],
  identity: [5, 'string'],
  zone: [6, 'string'],
  holds: [7, HOLDING],
  services: [8, 'string', 'many'],
  forward: [9, ADDRESS],
  trusts: [10, TRUSTS],
  gateways: [11, 'string', 'many'],
  address: [12, 'string'],
} as const satisfies Shape;

const HELD_PART = { kind: [1, 'string'], name: [2, 'string'], hash: [3, 'bytes'] } as const satisfies Shape;

const INVENTORY = {
  version: [1, 'string'],
  parts: [2, HELD_PART, 'many'],
  last: [3, 'bool'],
} as const satisfies Shape;

const NAMES = { services: [1, 'string', 'many'] } as const satisfies Shape;

const PORT = {
  key: [1, 'string'],
  address: [2, 'string'],
  port: [3, 'uint32'],
  error: [4, 'string'],
  message: [5, 'string'],
} as const satisfies Shape;

const ACK = {
  version: [1, 'string'],
  ports: [2, PORT, 'many'],
  serial: [3, 'uint32'],
} as const satisfies Shape;

const NACK = { version: [1, 'string'], reason: [2, 'string'], serial: [3, 'uint32'] } as const satisfies Shape;

const WORKLOAD_PORT = { name: [1, 'string'], port: [2, 'uint32'], protocol: [3, 'string'] } as const satisfies Shape;

const WORKLOAD = {
  service: [1, 'string'],
  namespace: [2, 'string'],
  address: [3, 'string'],
  ports: [4, WORKLOAD_PORT, 'many'],
  zone: [5, 'string'],
  health: [6, 'string'],
  proxyPort: [7, 'uint32'],
} as const satisfies Shape;

const LOAD = {
  connections: [1, 'uint32'],
  exchanges: [2, 'uint32'],
  unhealthy: [3, 'uint32'],
} as const satisfies Shape;

const CERTIFICATE = {
  not_after_ms: [1, 'whole'],
  serial: [2, 'string'],
  bundle: [3, 'string'],
  issuer: [4, 'string'],
} as const satisfies Shape;

const REPORT = {
  workload: [1, WORKLOAD],
  load: [2, LOAD],
  certificate: [3, CERTIFICATE],
} as const satisfies Shape;

const ANSWER = {
  id: [1, 'uint32'],
  body: [2, 'string'],
  last: [3, 'bool'],
  failure: [4, 'string'],
  reason: [5, 'string'],
  lost: [6, 'uint32'],
} as const satisfies Shape;

/** From a proxy: one of these fields. */
export const TO_CONTROL = {
  hello: [1, HELLO],
  inventory: [2, INVENTORY],
  subscribe: [3, NAMES],
  unsubscribe: [4, NAMES],
  ack: [5, ACK],
  nack: [6, NACK],
  report: [7, REPORT],
  answer: [8, ANSWER],
} as const satisfies Shape;

const PIECE = {
  kind: [1, 'string'],
  name: [2, 'string'],
  hash: [3, 'bytes'],
  json: [4, 'bytes'],
  more: [5, 'bool'],
  removed: [6, 'bool'],
} as const satisfies Shape;

const DELTA = {
  from: [1, 'string'],
  to: [2, 'string'],
  pieces: [3, PIECE, 'many'],
  last: [4, 'bool'],
  serial: [5, 'uint32'],
} as const satisfies Shape;

const WELCOME = { software: [1, 'string'], control: [2, 'string'] } as const satisfies Shape;
const INVENTORY_WANTED = {} as const satisfies Shape;
const FEDERATED = { trust_domain: [1, 'string'], anchors: [2, 'string', 'many'] } as const satisfies Shape;

export const TRUST = {
  hash: [1, 'string'],
  trust_domain: [2, 'string'],
  roots: [3, 'string', 'many'],
  federated: [4, FEDERATED, 'many'],
  issuer: [5, 'string'],
} as const satisfies Shape;

const WISH = { name: [1, 'string'], body: [2, 'string'] } as const satisfies Shape;

const ASK = { id: [1, 'uint32'], topic: [2, 'string'], body: [3, 'string'] } as const satisfies Shape;
const UNASK = { id: [1, 'uint32'] } as const satisfies Shape;

/** To a proxy: one of these fields. */
export const TO_PROXY = {
  welcome: [1, WELCOME],
  inventory_wanted: [2, INVENTORY_WANTED],
  delta: [3, DELTA],
  unknown: [4, NAMES],
  trust: [5, TRUST],
  wish: [6, WISH],
  ask: [7, ASK],
  unask: [8, UNASK],
} as const satisfies Shape;

const FACT = { name: [1, 'string'], value: [2, 'string'] } as const satisfies Shape;

export const JOIN_REQUEST = {
  token: [1, 'string'],
  csr: [2, 'bytes'],
  facts: [3, FACT, 'many'],
} as const satisfies Shape;

export const RENEW_REQUEST = { csr: [1, 'bytes'], facts: [2, FACT, 'many'] } as const satisfies Shape;

export const JOIN_ANSWER = { chain_pem: [1, 'string'], trust: [2, TRUST] } as const satisfies Shape;

export const ANCHORS_ANSWER = { anchors: [1, 'string', 'many'] } as const satisfies Shape;
