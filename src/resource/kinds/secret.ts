import type { Finding } from '../kind.ts';
import { finding } from '../rules.ts';
import { SecretData } from '../secret-data.ts';
import { Type } from '../../schema/schema.ts';

const value = Type.String({ secret: true });

export const secretFields = {
  type: Type.String({
    maxLength: 253,
    default: 'Opaque',
    description: 'What it holds: `kubernetes.io/tls` for a certificate and its key.',
  }),
  data: Type.Record(Type.String(), value, { default: {}, secret: true, description: 'Values in base64.' }),
  stringData: Type.Record(Type.String(), value, {
    default: {},
    secret: true,
    description: 'Values as they are; they win over `data`.',
  }),
};

interface SecretManifest {
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
  readonly stringData: Readonly<Record<string, string>>;
}

/** RFC 4648 section 4; line breaks, which people put in, are taken out before. */
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

export function secretRules({ data }: SecretManifest): Finding[] {
  return Object.entries(data).flatMap(([key, text]) => {
    const digits = text.replaceAll(/\s/g, '');
    if (BASE64.test(digits) && digits.length % 4 === 0) return [];
    const pointer = `/data/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    return [finding(pointer, `Expected base64 in "${key}", got other text: encode it, or move it to stringData`)];
  });
}

export function makeSecret({ type, data, stringData }: SecretManifest): { type: string; data: SecretData } {
  const values = new Map<string, string>();
  for (const [key, text] of Object.entries(data)) values.set(key, decode(text));
  for (const [key, text] of Object.entries(stringData)) values.set(key, text);
  return { type, data: new SecretData(values) };
}

function decode(text: string): string {
  const bytes = Buffer.from(text, 'base64');
  const utf8 = bytes.toString('utf8');
  return utf8.includes('\ufffd') ? bytes.toString('latin1') : utf8;
}
