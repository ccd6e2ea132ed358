/** Names of the parts of a form (RFC 7578). Their contents are not looked at. */

const PARTS_MAX = 1_000;
const HEAD_CHARS_MAX = 8_192;

/** @returns undefined when two readers could find different parts, or one of them none */
export function partNames(contentType: string, body: Buffer): string[] | undefined {
  const found = /;\s*boundary=(?:"([^"]{1,70})"|([0-9A-Za-z'()+_,./:=?-]{1,70}))\s*(?:;|$)/i.exec(contentType);
  const boundary = found?.[1] ?? found?.[2];
  if (boundary === undefined) return undefined;
  const text = body.toString('latin1');
  const delimiter = `\r\n--${boundary}`;
  const names: string[] = [];
  // RFC 2046 section 5.1.1: the first one may stand at the very beginning.
  let at = text.startsWith(`--${boundary}`) ? boundary.length + 2 : -1;
  while (at >= 0 && names.length < PARTS_MAX) {
    if (text.startsWith('--', at)) return names;
    if (!text.startsWith('\r\n', at)) return undefined;
    const headEnd = text.indexOf('\r\n\r\n', at);
    if (headEnd < 0 || headEnd - at > HEAD_CHARS_MAX) return undefined;
    const name = nameOf(text.slice(at + 2, headEnd));
    if (name === undefined) return undefined;
    names.push(name);
    const next = text.indexOf(delimiter, headEnd + 2);
    at = next < 0 ? -1 : next + delimiter.length;
  }
  return undefined;
}

function nameOf(head: string): string | undefined {
  const lines = head.split('\r\n').filter((line) => /^content-disposition:/i.test(line));
  if (lines.length !== 1) return undefined;
  const names = [...lines[0]!.matchAll(/;\s*name="((?:[^"\\]|\\.)*)"/gi)];
  if (!/^content-disposition:\s*form-data\s*;/i.test(lines[0]!) || names.length !== 1) return undefined;
  return Buffer.from(names[0]![1]!, 'latin1').toString('utf8');
}
