/** An authority run by OpenSSL, in a folder of its own: certificates and revocation lists that are not of our making. */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientCertificate, readClientCertificate } from '../../../net/client-certificate.ts';

export interface AuthorityWish {
  readonly subject?: string;
  /** Arguments of `openssl genpkey`. */
  readonly key?: readonly string[];
  readonly keyUsage?: string;
  /** Who issues its certificate; itself, when left out. */
  readonly issuer?: TestAuthority;
  /** Authority whose key it has, too: it was certified anew. */
  readonly sameAs?: TestAuthority;
}

export interface ListWish {
  readonly serials?: readonly string[];
  readonly days?: number;
  /** Lines of the section of extensions. */
  readonly extensions?: string;
  /** Further arguments of `openssl ca`. */
  readonly more?: readonly string[];
}

const EC = ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'];

export class TestAuthority implements Disposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'fourways-authority-'));
  readonly pem: string;

  constructor({
    subject = '/O=Shop/CN=Test CA',
    key = EC,
    keyUsage = 'critical,keyCertSign,cRLSign',
    issuer,
    sameAs,
  }: AuthorityWish = {}) {
    if (sameAs === undefined) this.#openssl('genpkey', ...key, '-out', 'ca.key');
    else copyFileSync(join(sameAs.folder, 'ca.key'), join(this.folder, 'ca.key'));
    if (issuer !== undefined) {
      const above = ['-CA', join(issuer.folder, 'ca.crt'), '-CAkey', join(issuer.folder, 'ca.key')];
      writeFileSync(join(this.folder, 'ca.cnf'), `keyUsage=${keyUsage}\nbasicConstraints=critical,CA:TRUE\n`);
      this.#openssl('req', '-new', '-key', 'ca.key', '-subj', subject, '-out', 'ca.csr');
      const from = ['-in', 'ca.csr', ...above, '-days', '3650', '-extfile', 'ca.cnf'];
      this.#openssl('x509', '-req', ...from, '-out', 'ca.crt');
      this.pem = readFileSync(join(this.folder, 'ca.crt'), 'utf8');
      return;
    }
    const usage = ['-addext', `keyUsage=${keyUsage}`, '-addext', 'basicConstraints=critical,CA:TRUE'];
    this.#openssl(
      'req',
      '-x509',
      '-new',
      '-key',
      'ca.key',
      '-out',
      'ca.crt',
      '-days',
      '3650',
      '-subj',
      subject,
      ...usage,
    );
    this.pem = readFileSync(join(this.folder, 'ca.crt'), 'utf8');
  }

  /** @param san  as OpenSSL writes it: `URI:spiffe://…,DNS:…` */
  issue(subject: string, san = '', days = 3650): ClientCertificate {
    this.#openssl('genpkey', ...EC, '-out', 'leaf.key');
    this.#openssl('req', '-new', '-key', 'leaf.key', '-subj', subject, '-out', 'leaf.csr');
    writeFileSync(join(this.folder, 'leaf.cnf'), san === '' ? '' : `subjectAltName=${san}\n`);
    const from = ['-in', 'leaf.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-days', String(days)];
    this.#openssl('x509', '-req', ...from, '-extfile', 'leaf.cnf', '-out', 'leaf.crt');
    return readClientCertificate(new X509Certificate(readFileSync(join(this.folder, 'leaf.crt'))));
  }

  /** A revocation list, PEM. */
  list({ serials = [], days = 3650, extensions = 'authorityKeyIdentifier=keyid', more = [] }: ListWish = {}): string {
    const line = (serial: string): string => `R\t401231235959Z\t251101000000Z\t${serial}\tunknown\t/CN=x\n`;
    writeFileSync(join(this.folder, 'index.txt'), serials.map(line).join(''));
    writeFileSync(join(this.folder, 'number'), '01\n');
    const ca = 'database=index.txt\ncertificate=ca.crt\nprivate_key=ca.key\ndefault_md=sha256\ncrlnumber=number\n';
    writeFileSync(join(this.folder, 'ca.cnf'), `[ca]\ndefault_ca=c\n[c]\n${ca}crl_extensions=x\n[x]\n${extensions}\n`);
    this.#openssl('ca', '-config', 'ca.cnf', '-gencrl', '-crldays', String(days), '-out', 'list.pem', ...more);
    return readFileSync(join(this.folder, 'list.pem'), 'utf8');
  }

  #openssl(...args: readonly string[]): void {
    execFileSync('openssl', args, { cwd: this.folder, stdio: ['ignore', 'ignore', 'pipe'] });
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export function serialOf({ der }: ClientCertificate): string {
  return new X509Certificate(der).serialNumber;
}

export function derOf(pem: string): Buffer {
  return Buffer.from(pem.replaceAll(/-----[^-]*-----|\s/g, ''), 'base64');
}
