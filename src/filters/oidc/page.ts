/** The page where a user chooses a provider. Without scripts; nothing in it comes from the request but the way back. */
import { hash } from 'node:crypto';
import type { Reply } from '../../filter/filter.ts';
import type { ProviderConfig } from './config.ts';

/** Of the page alone: no other style is allowed on it. */
const STYLE = [
  ':root{color-scheme:light dark}',
  'body{margin:0;min-height:100vh;display:grid;place-items:center;font:16px/1.5 system-ui,sans-serif;background:light-dark(#f3f5f8,#14181d);color:light-dark(#1d2733,#e6ebf0)}',
  'main{width:min(20rem,90vw);padding:2rem;border-radius:.75rem;background:light-dark(#fff,#1e242b);box-shadow:0 1px 3px #0003}',
  'h1{margin:0 0 1rem;font-size:1.15rem}',
  'ul{list-style:none;margin:0;padding:0;display:grid;gap:.6rem}',
  'a{display:block;padding:.65rem 1rem;border:1px solid light-dark(#c9d2dc,#3a444f);border-radius:.5rem;color:inherit;text-decoration:none}',
  'a:hover,a:focus-visible{border-color:#2f6fde;outline:2px solid #2f6fde40}',
].join('');

const STYLE_HASH = hash('sha256', STYLE, 'base64');

export function choicePage(
  providers: readonly ProviderConfig[],
  addressOf: (provider: ProviderConfig) => string,
): Reply {
  const items = providers.map(
    (provider) => `<li><a href="${escaped(addressOf(provider))}">${escaped(provider.title ?? provider.name)}</a></li>`,
  );
  return {
    kind: 'reply',
    status: 200,
    reason: 'oidc',
    headers: [
      ['content-type', 'text/html; charset=utf-8'],
      ['cache-control', 'no-store'],
      ['content-security-policy', `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; frame-ancestors 'none'`],
      ['referrer-policy', 'no-referrer'],
    ],
    body: `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Log in</title><style>${STYLE}</style><main><h1>Log in with</h1><ul>${items.join('')}</ul></main></html>\n`,
  };
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}
