/** Dates as people write them in manifests: a day counts from its first moment to its last, in the platform's time zone. */

/** The first moment of a date, or the moment itself. `zone`: an IANA name; unknown ones count as UTC. */
export function startOf(text: string, zone = 'UTC'): Date {
  return isDay(text) ? midnight(text, 0, zone) : new Date(text)
}

/** The last millisecond of a date, or the moment itself. */
export function endOf(text: string, zone = 'UTC'): Date {
  return isDay(text) ? new Date(midnight(text, 1, zone).getTime() - 1) : new Date(text)
}

export function isTimeZone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone })
    return true
  } catch {
    return false
  }
}

function isDay(text: string): boolean {
  return text.length === 10
}

/** When the day that lies `days` after this date begins there. */
function midnight(day: string, days: number, zone: string): Date {
  const utc = Date.parse(`${day}T00:00:00Z`) + days * 86_400_000
  // The offset is that of the moment itself: the guess by the offset of UTC's midnight is corrected once.
  const first = utc - offsetAt(utc, zone)
  return new Date(utc - offsetAt(first, zone))
}

/** Milliseconds that clocks there are ahead of UTC at a moment. */
function offsetAt(moment: number, zone: string): number {
  const parts = new Intl.DateTimeFormat('en-US', {
    timeZone: isTimeZone(zone) ? zone : 'UTC',
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  }).formatToParts(moment)
  const part = (type: Intl.DateTimeFormatPartTypes) => Number(parts.find(found => found.type === type)?.value)
  const there = Date.UTC(part('year'), part('month') - 1, part('day'), part('hour'), part('minute'), part('second'))
  return there - Math.floor(moment / 1000) * 1000
}
