import type { Logger } from '../logger.ts';
import type { EventLog } from './event-log.ts';

/** A logger whose warnings and errors become events too. */
export function withWarningEvents(logger: Logger, events: Pick<EventLog, 'publish'>): Logger {
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => {
      logger.warn(fields, message);
      events.publish({ type: 'warning', severity: 'warning', message });
    },
    error: (fields, message) => {
      logger.error(fields, message);
      events.publish({ type: 'warning', severity: 'error', message });
    },
  };
}
