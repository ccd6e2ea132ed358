/**
 * Where our parser and Node's may differ, each with the reason. Anything that
 * is not on these lists fails the tests: that both take a message but read it
 * differently is on no list, for that is what request smuggling is made of.
 */
import type { Reading } from './reading.ts';

interface Difference {
  /** Matches what the stricter one says of its refusal. */
  readonly says: RegExp;
  /** Only for bytes like these. */
  readonly when?: RegExp;
  readonly why: string;
}

/** We refuse, Node takes it. */
export const WE_ARE_STRICTER: readonly Difference[] = [
  // Requests.
  { says: /More than one Host/, why: 'RFC 9112 section 3.2: more than one Host is answered with 400' },
  { says: /Host header is not valid/, why: 'RFC 9112 section 3.2: an invalid Host is answered with 400' },
  { says: /Request target has no known form/, why: 'RFC 9112 section 3.2 knows four forms' },
  { says: /Asterisk target without OPTIONS/, why: 'RFC 9112 section 3.2.4: only for OPTIONS' },
  { says: /Request target has a fragment/, why: 'RFC 9112 section 3.2.1: a target has no fragment' },
  { says: /Request target has bytes/, why: 'RFC 9112 section 3: one space before the target, a version after it' },
  { says: /Request line does not end in a version/, why: 'Node takes RTSP and ICE request lines too' },
  { says: /Version is not 1\.0 or 1\.1/, why: 'Node takes HTTP/0.9 and HTTP/2.0 as versions of HTTP/1' },
  { says: /Line ends in a bare LF/, why: 'Node takes a bare LF after a request line without a version' },
  {
    says: /Method is not a token/,
    why: 'Node passes over any number of empty lines, we over one (RFC 9112 section 2.2)',
  },
  { says: /Expectation is not 100-continue/, why: 'Node finds 100-continue anywhere in the value' },
  {
    says: /Transfer-Encoding is (unknown|not exactly)/,
    why: 'Only "chunked" alone: lists are what parsers differ about',
  },
  { says: /More than one Transfer-Encoding/, why: 'The same, over two lines' },
  { says: /Transfer-Encoding in an HTTP\/1\.0/, why: 'RFC 9112 section 6.1: the framing of such a message is faulty' },
  { says: /Content-Length is empty or too long/, why: 'Node counts in 64 bits, we in exact integers' },
  { says: /Chunk size is too long/, why: 'The same for chunks' },
  { says: /Chunk extension is too long/, why: 'RFC 9112 section 7.1.1: a recipient should limit extensions' },
  { says: /Trailer section/, why: 'RFC 9110 section 6.5.1: no framing or routing field in trailers' },
  // Answers.
  { says: /Reason phrase has forbidden bytes/, why: 'RFC 9112 section 4: no control bytes' },
  { says: /Status is not three digits from 100 to 599/, why: 'RFC 9110 section 15: nothing else is valid' },
  { says: /Status line does not begin with a version/, why: 'Node passes over line ends before an answer' },
  { says: /101 that was not asked for/, why: 'RFC 9110 section 15.2.2: 101 answers an Upgrade' },
  { says: /Informational answer with a body/, why: 'RFC 9110 section 8.6: no Content-Length in a 1xx' },
  { says: /informational answers/, why: 'A server that never comes to the point is broken' },
];

/** Node refuses, we take it. */
export const NODE_IS_STRICTER: readonly Difference[] = [
  { says: /HPE_INVALID_METHOD/, why: 'Node knows a closed list of methods; RFC 9110 section 9.1 does not' },
  {
    says: /HPE_STRICT|HPE_INVALID_CHUNK_SIZE/,
    when: /\n[0-9a-f]+;/i,
    why: 'Chunk extensions are dropped, so their grammar is looked at only for bytes that could end a line',
  },
  {
    says: /^HPE_/,
    when: /\n0+(;[^\r\n]*)?\r\n/,
    why: 'Node refuses trailers at their first bad byte, we when they are complete; nothing is passed on before',
  },
  {
    says: /HPE_CLOSED_CONNECTION/,
    when: /^HTTP\/1\.0 1\d\d/m,
    why: 'Node takes the version of an interim answer as the wish to close after it',
  },
];

/** Both take it, and Node reads on in another way, or not at all. */
const NODE_READS_OTHERWISE: readonly { readonly when: RegExp; readonly why: string }[] = [
  { when: /transfer-encoding:[^\r\n]*chunked[ \t]+\r/i, why: 'Node counts white space after "chunked" to the coding' },
  { when: /^connection:[^\r\n]*upgrade/im, why: 'Node reads no further request behind one that asks to switch' },
];

const LATER = 'One of the two refuses a head at its first bad byte, the other when the head is complete';

/** Why these two readings of `bytes` may differ, `'same'` when they agree, undefined when the difference is a defect. */
export function explain(bytes: Buffer, ours: Reading, node: Reading): string | undefined {
  const text = bytes.toString('latin1');
  return explainBySides(text, ours, node) ?? NODE_READS_OTHERWISE.find(({ when }) => when.test(text))?.why;
}

function explainBySides(text: string, ours: Reading, node: Reading): string | undefined {
  const common = Math.min(ours.messages.length, node.messages.length);
  for (let i = 0; i < common; i++) {
    if (JSON.stringify(ours.messages[i]) !== JSON.stringify(node.messages[i])) return undefined;
  }
  if (ours.refused !== undefined && node.refused !== undefined) return 'same';
  const equally = ours.messages.length === node.messages.length;
  if (ours.refused === undefined && node.refused === undefined) return equally ? 'same' : undefined;
  // Nothing of the message was told to anyone: it is only a matter of when.
  if (equally && !ours.begun && !node.begun) return LATER;
  const [list, said] = ours.refused === undefined ? [NODE_IS_STRICTER, node.refused!] : [WE_ARE_STRICTER, ours.refused];
  return list.find(({ says, when }) => says.test(said) && (when?.test(text) ?? true))?.why;
}
