/** As much of a browser as logins need: cookies by site and path, redirects, what it says of itself. */
import http from 'node:http';

export interface Page {
  readonly url: string;
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

export class TestBrowser {
  /** By origin, then by name; those of a path as `name;path`. */
  readonly cookies = new Map<string, Map<string, string>>();
  /** Every address that was asked for. */
  readonly trail: string[] = [];

  cookiesOf(origin: string): Map<string, string> {
    const cookies = this.cookies.get(origin) ?? new Map<string, string>();
    this.cookies.set(origin, cookies);
    return cookies;
  }

  /** A copy with the same cookies. */
  clone(): TestBrowser {
    const copy = new TestBrowser();
    for (const [origin, cookies] of this.cookies) copy.cookies.set(origin, new Map(cookies));
    return copy;
  }

  /** One request, without following. */
  ask(url: string, options: http.RequestOptions & { readonly body?: string } = {}): Promise<Page> {
    const { origin, pathname } = new URL(url);
    const cookies = this.cookiesOf(origin);
    this.trail.push(url);
    const cookie = [...cookies]
      .filter(([key]) => pathname.startsWith(key.split(';')[1] ?? '/'))
      .map(([key, value]) => `${key.split(';')[0]}=${value}`)
      .join('; ');
    const headers = {
      accept: 'text/html',
      ...(cookie !== '' && { cookie }),
      ...(options.headers as http.OutgoingHttpHeaders),
    };
    return new Promise((resolve, reject) => {
      const sent = http.request(url, { agent: false, ...options, headers }, (answer) => {
        let body = '';
        for (const line of answer.headers['set-cookie'] ?? []) this.#take(cookies, line);
        answer.setEncoding('utf8').on('data', (text: string) => (body += text));
        answer.on('end', () => resolve({ url, status: answer.statusCode!, headers: answer.headers, body }));
        answer.on('error', reject);
      });
      sent.on('error', reject);
      sent.end(options.body);
    });
  }

  #take(cookies: Map<string, string>, line: string): void {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line)!;
    const path = /; ?path=([^;]+)/i.exec(line)?.[1] ?? '/';
    const key = path === '/' ? name! : `${name};${path}`;
    if (/; ?Max-Age=0(?:;|$)/i.test(line) || /expires=Thu, 01 Jan 1970/i.test(line)) cookies.delete(key);
    else cookies.set(key, value!);
  }

  /** A page, after all redirects. */
  async open(url: string, options: http.RequestOptions & { readonly body?: string } = {}): Promise<Page> {
    let page = await this.ask(url, options);
    for (let i = 0; i < 12 && page.status >= 300 && page.status < 400; i++) {
      page = await this.ask(new URL(page.headers.location!, page.url).href);
    }
    return page;
  }

  /** Sends the form of a page. */
  submit({ url, body }: Page, fields: Record<string, string> = {}): Promise<Page> {
    const action = /action="([^"]+)"/.exec(body)![1]!;
    const hidden = [...body.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]+)"/g)].map(([, name, value]) => [
      name!,
      value!,
    ]);
    return this.open(new URL(action, url).href, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams([...hidden, ...Object.entries(fields)]).toString(),
    });
  }
}
