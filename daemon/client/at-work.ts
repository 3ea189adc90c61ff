import { compileCheck } from '../../api/schema/check.ts';
import { StatusSchema } from '../../api/views/status-view.ts';
import type { EngineState } from '../../tiering/engine-state.ts';
import type { Answer } from './ask.ts';
import { NotAtWorkError } from './errors.ts';

/** Paused is as ordered; aside is too, and yet nothing is watched. */
const AT_WORK: readonly EngineState[] = ['moving', 'settled', 'paused'];

const checkStatus = compileCheck(StatusSchema);

/** The state of a daemon that is at work, from its status as JSON. Throws NotAtWorkError. */
export function stateAtWork({ text }: Answer): EngineState {
  const status = checkStatus(JSON.parse(text));
  if (!status.ok) throw new NotAtWorkError('its status is none that this version knows', undefined);
  const { state, problem } = status.value;
  if (!AT_WORK.includes(state)) throw new NotAtWorkError(state, problem);
  return state;
}
