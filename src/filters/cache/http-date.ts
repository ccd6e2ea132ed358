/** Dates of HTTP (RFC 9110 section 5.6.7), read strictly: what `Date.parse` takes besides is no date here. */

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const DAY = '(?:mon|tue|wed|thu|fri|sat|sun)';
const LONG_DAY = '(?:monday|tuesday|wednesday|thursday|friday|saturday|sunday)';
const TIME = '(\\d\\d):(\\d\\d):(\\d\\d)';

/** Sun, 06 Nov 1994 08:49:37 GMT */
const IMF = new RegExp(`^${DAY}, (\\d\\d) ([a-z]{3}) (\\d{4}) ${TIME} gmt$`, 'i');
/** Sunday, 06-Nov-94 08:49:37 GMT */
const RFC850 = new RegExp(`^${LONG_DAY}, (\\d\\d)-([a-z]{3})-(\\d\\d) ${TIME} gmt$`, 'i');
/** Sun Nov  6 08:49:37 1994 */
const ASCTIME = new RegExp(`^${DAY} ([a-z]{3}) ([ \\d]\\d) ${TIME} (\\d{4})$`, 'i');

/**
 * Milliseconds since the epoch, or undefined for what is no date.
 *
 * @param nowMs  since the epoch: two digits of a year mean the one that is at most 50 years ahead
 */
export function parseHttpDate(text: string | undefined, nowMs: number): number | undefined {
  // What counts in weeks is not read by three expressions first.
  if (text === undefined || text.length > 40) return undefined;
  const imf = IMF.exec(text);
  if (imf !== null) return timeOf([Number(imf[3]), imf[2]!, imf[1]!], imf.slice(4));
  const old = RFC850.exec(text);
  if (old !== null) return timeOf([fullYear(Number(old[3]), nowMs), old[2]!, old[1]!], old.slice(4));
  const asc = ASCTIME.exec(text);
  if (asc !== null) return timeOf([Number(asc[6]), asc[1]!, asc[2]!], asc.slice(3, 6));
  return undefined;
}

function fullYear(twoDigits: number, nowMs: number): number {
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + 50 ? year - 100 : year;
}

type TextDate = readonly [year: number, month: string, day: string];

function timeOf([year, month, day]: TextDate, time: readonly string[]): number | undefined {
  const monthIndex = MONTHS.indexOf(month.toLowerCase());
  const [hour, minute, second] = time.map(Number);
  const date = Number(day);
  if (monthIndex < 0 || date < 1 || date > 31 || hour! > 23 || minute! > 59 || second! > 60) return undefined;
  return Date.UTC(year, monthIndex, date, hour, minute, second);
}
