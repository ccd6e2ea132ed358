/** In a project of its own `fourways` is installed; in this repository its exports are the sources. */
import { registerHooks } from 'node:module';

const EXPORTS: Readonly<Record<string, string>> = {
  'fourways/filter': '../../src/filter/own.ts',
  'fourways/testing': '../../src/main/testing.ts',
};

registerHooks({
  resolve(specifier, context, next) {
    const file = EXPORTS[specifier];
    return file === undefined
      ? next(specifier, context)
      : { url: new URL(file, import.meta.url).href, shortCircuit: true };
  },
});
