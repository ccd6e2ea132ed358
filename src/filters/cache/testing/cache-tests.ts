/**
 * The public tests of HTTP caches (cache-tests.fyi), run through a real proxy.
 * They are no dependency of ours, because they bring a whole npm along: the
 * package is fetched once, checked, and kept beside what npm keeps.
 */
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { folderOf, type PublicPackage } from '../../../base/testing/public-package.ts';

const PACKAGE: PublicPackage = {
  name: 'http-cache-tests',
  version: '0.4.5',
  sha512: 'DjuwN9nUZXLTW+wav1LRESCZNVxl8SshwOy4z1pxuWbWt5/ay6sM9QQ1lebBaDO6P1IMBoK6mdf+PuVP/QNL8A==',
};

export interface CacheTest {
  readonly id: string;
  /** `required` when left out; `check` only asks. */
  readonly kind?: 'required' | 'optimal' | 'check';
  readonly browser_only?: boolean;
}

/** True, or what is wrong. */
export type Results = Readonly<Record<string, true | readonly [kind: string, message: string]>>;

type Handler = (segments: string[], request: http.IncomingMessage, response: http.ServerResponse) => void;

interface Suite {
  readonly tests: readonly { readonly tests: readonly CacheTest[] }[];
  run(base: string): Promise<Results>;
  /** Answers as a test has told it to. */
  readonly origin: http.Server;
}

/** @throws {NotFetched} when they cannot be had */
export async function loadCacheTests(): Promise<Suite> {
  const folder = folderOf(PACKAGE);
  const load = async (file: string): Promise<Record<string, unknown>> =>
    (await import(pathToFileURL(join(folder, file)).href)) as Record<string, unknown>;
  const [tests, runner, config, state, test] = await Promise.all([
    load('tests/index.mjs'),
    load('client/runner.mjs'),
    load('server/handle-config.mjs'),
    load('server/handle-state.mjs'),
    load('server/handle-test.mjs'),
  ]);
  const handlers: Readonly<Record<string, Handler>> = {
    config: config!['default'] as Handler,
    state: state!['default'] as Handler,
    test: test!['default'] as Handler,
  };
  const { runTests, getResults } = runner as {
    readonly runTests: (tests: unknown, fetch: unknown, browserCache: boolean, base: string) => Promise<void>;
    readonly getResults: () => Results;
  };
  const all = tests!['default'] as Suite['tests'];
  return {
    tests: all,
    origin: http.createServer((request, response) => {
      const [kind = '', ...rest] = request.url!.replace(/\?.*$/, '').slice(1).split('/');
      handlers[kind]!(rest, request, response);
    }),
    async run(base) {
      await runTests(all, plainFetch, false, base);
      return getResults();
    },
  };
}

export async function listen(server: http.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

interface Init {
  readonly method?: string;
  readonly headers?: readonly (readonly [string, string])[];
  readonly body?: string;
}

/** Sends what it is told and nothing besides: that of the platform adds fields which caches heed. */
function plainFetch(url: string, { method = 'GET', headers = [], body }: Init = {}): Promise<object> {
  return new Promise((resolve, reject) => {
    const sent = http.request(url, { method, agent: false }, (answer) => {
      const fields = new Headers();
      for (let i = 0; i < answer.rawHeaders.length; i += 2)
        fields.append(answer.rawHeaders[i]!, answer.rawHeaders[i + 1]!);
      let text = '';
      answer.setEncoding('utf8').on('data', (piece: string) => (text += piece));
      answer.once('error', reject);
      answer.once('end', () =>
        resolve({
          status: answer.statusCode,
          statusText: answer.statusMessage,
          headers: fields,
          text: async () => text,
        }),
      );
    });
    for (const [name, value] of headers) sent.appendHeader(name, value);
    sent.once('error', reject);
    sent.end(body);
  });
}
