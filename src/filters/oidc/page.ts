/** The page where a user chooses a provider. Without scripts; nothing in it comes from the request but the way back. */
import type { Reply } from '../../filter/filter.ts';
import type { ProviderConfig } from './config.ts';

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
      ['content-security-policy', "default-src 'none'; frame-ancestors 'none'"],
      ['referrer-policy', 'no-referrer'],
    ],
    body: `<!doctype html><html lang="en"><meta charset="utf-8"><title>Log in</title><h1>Log in with</h1><ul>${items.join('')}</ul></html>\n`,
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
