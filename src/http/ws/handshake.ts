/**
 * The opening handshake of a WebSocket (RFC 6455 section 4, RFC 8441 section 5). Key and Accept prove to each other
 * that the two ends of one HTTP/1.1 connection speak the protocol, so they belong to that hop: each codec makes or checks its
 * own, and what is between two codecs never sees them. Versions, subprotocols and extensions go from end to end.
 */
import { hash, randomBytes } from 'node:crypto';
import { Fault } from '../../base/fault.ts';
import type { Headers } from '../headers.ts';
import type { RequestHead, ResponseHead } from '../message.ts';

/** The version of RFC 6455, and the only one that is spoken. */
export const WEBSOCKET_VERSION = '13';

/** RFC 6455 section 1.3. */
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** 16 bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/** Whether `Upgrade`, a list in lower case, offers a WebSocket (RFC 6455 section 4.2.1). */
export function offersWebSocket(upgrade: string): boolean {
  return upgrade === 'websocket' || upgrade.split(',').some((protocol) => protocol.trim() === 'websocket');
}

/** The check that holds on every wire. Takes the proof out: where HTTP/2 has one, it means nothing (RFC 8441 section 5). */
export function checkHandshake(headers: Headers): Fault | undefined {
  const versions = headers.getAll('sec-websocket-version');
  headers.delete('sec-websocket-key');
  headers.delete('sec-websocket-accept');
  if (versions.length === 1 && versions[0] === WEBSOCKET_VERSION) return undefined;
  return versions.length === 0
    ? invalid('Sec-WebSocket-Version is missing')
    : new Fault('request.websocket-version', `Sec-WebSocket-Version is not ${WEBSOCKET_VERSION}`);
}

/** The check on HTTP/1.1 (RFC 6455 section 4.2.1). @returns the key, which is taken out */
export function takeKey({ method, headers, bodyLength }: RequestHead): string | Fault {
  if (method !== 'GET') return invalid('Method is not GET');
  if (bodyLength !== 0) return invalid('Request has a body');
  const keys = headers.getAll('sec-websocket-key');
  const refused = checkHandshake(headers);
  if (refused !== undefined) return refused;
  const key = keys[0];
  if (key === undefined || keys.length > 1 || !KEY.test(key))
    return invalid('Sec-WebSocket-Key is not one of 16 bytes');
  return key;
}

function invalid(why: string): Fault {
  return new Fault('request.websocket-invalid', why);
}

/** RFC 6455 section 4.2.2: what proves that the request was read by someone who speaks WebSocket. */
export function acceptOf(key: string): string {
  return hash('sha1', key + GUID, 'base64');
}

/**
 * The head that gives a connection of HTTP/1.1 away (RFC 9110 section 15.2.2).
 *
 * @param asked  what the client wants to switch to, where the upstream does not say what it agreed on
 * @param key  of a WebSocket handshake; empty for another protocol
 */
export function switchingHead({ reason, headers }: ResponseHead, asked: string | undefined, key: string): string {
  const upgrade = headers.get('upgrade') ?? asked ?? '';
  headers.delete('upgrade'); // it stands once, after the others
  const proof = key === '' ? '' : `sec-websocket-accept: ${acceptOf(key)}\r\n`;
  return `HTTP/1.1 101 ${reason || 'Switching Protocols'}\r\n${headers.toLines()}${proof}connection: upgrade\r\nupgrade: ${upgrade}\r\n\r\n`;
}

/** RFC 6455 section 4.1: a nonce, so that no cache can have the answer. */
export function makeKey(): string {
  return randomBytes(16).toString('base64');
}

/**
 * The check of the 101 of an upstream. Takes the proof out of its head.
 *
 * @param upgrade  of the answer, lower case
 */
export function checkAccepted(key: string, upgrade: string | undefined, headers: Headers): Fault | undefined {
  const accepts = headers.getAll('sec-websocket-accept');
  headers.delete('sec-websocket-accept');
  if (upgrade !== 'websocket') return new Fault('upstream.malformed', '101 without "Upgrade: websocket"');
  if (accepts.length === 1 && accepts[0] === acceptOf(key)) return undefined;
  return new Fault('upstream.malformed', 'Sec-WebSocket-Accept is missing or wrong');
}
