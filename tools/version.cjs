// Loaded before the first TypeScript file (node --require), so that an old Node gives a clear line instead of a
// syntax error. Plain JavaScript that every Node reads.
'use strict';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 24 || (major === 24 && minor < 12)) {
  console.error(
    `Node.js 24.12 or newer is needed, found ${process.version} at ${process.execPath}.\n` +
      'Run "npm ci" in this folder: it brings the right Node.js along, and every "npm run" and bin/fourways use it.\n' +
      'If you did: install scripts are switched off. Run "npm rebuild node", or install Node.js 26 (see .nvmrc).',
  );
  process.exit(1);
}
