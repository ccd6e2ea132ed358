/**
 * What a list of fields says of a request (RFC 9113 section 8.3.1). Names and values were checked when they were
 * decoded (field-rules.ts); here is what they mean together. Whatever passes can be written as HTTP/1.1 and is read
 * there as it was meant here.
 */
import { Fault } from '../../base/fault.ts';
import type { ConnectionLimits } from '../../base/limits.ts';
import type { RequestHead } from '../message.ts';
import type { TargetFacts, TargetReader } from '../target-reader.ts';
import { isTunnel } from '../upgrade.ts';
import { checkHandshake } from '../ws/handshake.ts';
import { METHOD, PATH, SCHEME, STATUS } from './field-rules.ts';
import { type FieldList, pseudoBit } from './hpack/field-list.ts';

const REQUIRED = pseudoBit(METHOD) | pseudoBit(SCHEME) | pseudoBit(PATH);

const SLASH = 0x2f;

/** A request that is malformed as RFC 9113 means it: its stream ends in an error. */
export class MalformedRequest extends Fault {
  constructor(detail: string) {
    super('request.malformed', detail);
  }
}

export interface RequestHeadReader {
  readonly target: TargetReader;
  readonly limits: ConnectionLimits;
}

/**
 * Fills `request`. Its scheme is that of the connection and stays.
 *
 * @param ended  there is no body
 */
export function readRequestHead(
  list: FieldList,
  ended: boolean,
  request: RequestHead,
  { target, limits }: RequestHeadReader,
): Fault | undefined {
  if (list.outcome === 'too-large') return new Fault('request.headers-too-large', list.detail);
  if (list.outcome !== 'ok') return new MalformedRequest(list.detail);
  const { path } = list;
  list.copyTo(request.headers);
  const fault = checkPseudos(list, request) ?? checkPath(list, limits.requestLineBytesMax);
  if (fault !== undefined) return fault;
  const extended = list.protocol !== undefined;
  const host = list.authority ?? list.host;
  const facts: TargetFacts = { minorVersion: 1, method: extended ? 'GET' : list.method, target: path, host };
  return target.read(facts, request) ?? readBody(list, ended, request, limits) ?? readExtras(list, request);
}

function checkPseudos(list: FieldList, { scheme }: RequestHead): Fault | undefined {
  const { pseudos, method, protocol } = list;
  if ((pseudos & pseudoBit(STATUS)) !== 0) return new MalformedRequest('Request has a ":status"');
  if (method === 'CONNECT' && protocol === undefined) {
    if ((pseudos & (pseudoBit(SCHEME) | pseudoBit(PATH))) !== 0) {
      return new MalformedRequest('CONNECT has a scheme or a path');
    }
    return new Fault('request.connect-refused', 'CONNECT is not routed');
  }
  if ((pseudos & REQUIRED) !== REQUIRED)
    return new MalformedRequest('Pseudo-header ":method", ":scheme" or ":path" is missing');
  if (protocol !== undefined && (method !== 'CONNECT' || !isTunnel(protocol.toLowerCase()))) {
    return new MalformedRequest('Pseudo-header ":protocol" without CONNECT, or no protocol of a tunnel');
  }
  if (list.scheme !== 'https' && list.scheme !== 'http') return new MalformedRequest('Scheme is not http or https');
  // The other way round is what a client says whose TLS ended before us.
  if (list.scheme === 'http' && scheme === 'https') {
    return new Fault('request.misdirected', 'Scheme "http" on a connection with TLS');
  }
  const { authority, host } = list;
  if (authority !== undefined && host !== undefined && authority.toLowerCase() !== host.toLowerCase()) {
    return new MalformedRequest('Host is not the same as ":authority"');
  }
  return undefined;
}

function checkPath({ path, method }: FieldList, bytesMax: number): Fault | undefined {
  if (path.length > bytesMax) return new Fault('request.line-too-long', `Path is longer than ${bytesMax} bytes`);
  if (path.charCodeAt(0) === SLASH || (path === '*' && method === 'OPTIONS')) return undefined;
  return new MalformedRequest('Path does not begin with a slash');
}

function readBody(
  list: FieldList,
  ended: boolean,
  request: RequestHead,
  { bodyBytesMax }: ConnectionLimits,
): Fault | undefined {
  const { contentLength } = list;
  // A request of HTTP/1.1 without a body is whole with its head, and this one is not: its length may still be a lie.
  request.bodyLength = ended ? 0 : contentLength || -1;
  if (ended && contentLength > 0) return new MalformedRequest('Body is shorter than Content-Length');
  if (bodyBytesMax === 0 || contentLength <= bodyBytesMax) return undefined;
  return new Fault('request.body-too-large', `Content-Length is larger than ${bodyBytesMax}`);
}

function readExtras(list: FieldList, request: RequestHead): Fault | undefined {
  const { expect, protocol } = list;
  // RFC 8441: nothing outside knows how a client asks for another protocol.
  request.upgrade = protocol?.toLowerCase();
  if (protocol !== undefined) {
    request.bodyLength = 0;
    const refused = request.upgrade === 'websocket' ? checkHandshake(request.headers) : undefined;
    if (refused !== undefined) return refused;
  }
  request.expectContinue = expect !== undefined;
  if (expect === undefined || expect.toLowerCase() === '100-continue') return undefined;
  return new Fault('request.expectation-failed', 'Expectation is not 100-continue');
}
