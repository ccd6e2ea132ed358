/** The word of OpenSSL on certificates, at any time. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Chain {
  /** The certificate, then those that its holder sends with it. */
  readonly chainPem: string;
  /** PEMs. */
  readonly trusted: readonly string[];
  readonly atMs: number;
  readonly purpose?: 'sslclient' | 'sslserver';
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----\n?/g;

export class OpenSsl implements Disposable {
  readonly #dir = mkdtempSync(join(tmpdir(), 'fourways-openssl-'));

  /** @returns `OK`, or why not in its words */
  verify({ chainPem, trusted, atMs, purpose = 'sslserver' }: Chain): string {
    const [leaf = '', ...between] = chainPem.match(BLOCK) ?? [];
    const file = (name: string, text: string): string => {
      const path = join(this.#dir, name);
      writeFileSync(path, text);
      return path;
    };
    const at = String(Math.floor(atMs / 1_000));
    const args = ['verify', '-x509_strict', '-purpose', purpose, '-attime', at, '-no-CApath', '-no-CAstore'];
    args.push('-CAfile', file('trusted.pem', trusted.join('')));
    if (between.length > 0) args.push('-untrusted', file('between.pem', between.join('')));
    const { status, stderr } = spawnSync('openssl', [...args, file('leaf.pem', leaf)], { encoding: 'utf8' });
    if (status === 0) return 'OK';
    return /error \d+ at \d+ depth lookup: (.*)/.exec(stderr)?.[1] ?? stderr;
  }

  [Symbol.dispose](): void {
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
