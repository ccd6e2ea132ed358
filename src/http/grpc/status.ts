/** Statuses of gRPC on the wire: names of fields, the form of messages, and what a status of HTTP stands for. */
import { GRPC_CODES } from '../../base/grpc-codes.ts';

/** grpc/doc/http-grpc-status-mapping.md: what an answer that is not of gRPC comes to. */
const BY_HTTP: ReadonlyMap<number, number> = new Map([
  [400, GRPC_CODES.INTERNAL],
  [401, GRPC_CODES.UNAUTHENTICATED],
  [403, GRPC_CODES.PERMISSION_DENIED],
  [404, GRPC_CODES.UNIMPLEMENTED],
  [429, GRPC_CODES.UNAVAILABLE],
  [502, GRPC_CODES.UNAVAILABLE],
  [503, GRPC_CODES.UNAVAILABLE],
  [504, GRPC_CODES.UNAVAILABLE],
]);

export function grpcOfHttp(status: number): number {
  return BY_HTTP.get(status) ?? GRPC_CODES.UNKNOWN;
}

/** The number in `grpc-status`; UNKNOWN for what is none, as clients read it. */
export function parseStatus(value: string): number {
  return /^[0-9]{1,3}$/.test(value) ? Number(value) : GRPC_CODES.UNKNOWN;
}

/** `grpc-message`: UTF-8, and percent-encoded whatever is not printable ASCII (PROTOCOL-HTTP2, "Status-Message"). */
export function encodeMessage(text: string): string {
  if (/^[ -$&-~]*$/.test(text)) return text;
  let encoded = '';
  for (const byte of Buffer.from(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** Which form of gRPC a media type names. */
export type GrpcForm = 'grpc' | 'web' | 'web-text';

const MEDIA_TYPE = /^application\/grpc(-web(?:-text)?)?(?=$|[+; \t])/i;

/** The form of a content type; undefined when it is none of gRPC. */
export function formOf(contentType: string | undefined): GrpcForm | undefined {
  if (contentType === undefined) return undefined;
  const found = MEDIA_TYPE.exec(contentType);
  if (found === null) return undefined;
  if (found[1] === undefined) return 'grpc';
  return found[1].length > '-web'.length ? 'web-text' : 'web';
}

const PREFIX = { grpc: 'application/grpc', web: 'application/grpc-web', 'web-text': 'application/grpc-web-text' };

/** The same content type in another form: `application/grpc-web+proto` for `application/grpc+proto`. */
export function inForm(contentType: string, form: GrpcForm): string {
  return contentType.replace(MEDIA_TYPE, PREFIX[form]);
}
