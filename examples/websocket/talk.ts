/**
 * Says each text over one WebSocket, half a second apart, and prints what comes back. With `--stay` it does not close
 * afterwards, but waits for the other side to do it.
 *
 *     node talk.ts ws://127.0.0.1:8080/chat hello world
 */
import { setTimeout as pause } from 'node:timers/promises';

const stays = process.argv.includes('--stay');
const [url, ...texts] = process.argv.slice(2).filter((arg) => arg !== '--stay');
if (url === undefined) throw new Error('Name a URL: node talk.ts ws://HOST:PORT/PATH TEXT...');

const socket = new WebSocket(url);
await new Promise((resolve, reject) => {
  socket.addEventListener('open', resolve);
  socket.addEventListener('error', () => reject(new Error(`Cannot open ${url}`)));
});
console.log('open');
const closed = new Promise<CloseEvent>((resolve) => socket.addEventListener('close', resolve));
for (const text of texts) {
  const answered = new Promise<MessageEvent>((resolve) => socket.addEventListener('message', resolve, { once: true }));
  socket.send(text);
  console.log((await answered).data);
  await pause(500);
}
if (!stays) socket.close(1000, 'done');
const { code, reason } = await closed;
console.log(`closed with ${code}${reason === '' ? '' : `: ${reason}`}`);
