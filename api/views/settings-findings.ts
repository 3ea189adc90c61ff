import type { Finding } from '../../tiering/doctor/finding.ts';
import type { OperatorSettings } from '../policy/operator-settings.ts';

/** The id of what is told of the settings; only a daemon that runs knows it. */
export const SETTINGS_FINDING = 'settings';

/** What is wrong with what the operator has set over REST. */
export function settingsFindings({
  pauseReason,
  saveProblem,
}: Pick<OperatorSettings, 'pauseReason' | 'saveProblem'>): readonly Finding[] {
  return [
    ...(pauseReason === undefined ? [] : [finding('tierd started paused', pauseReason, 'tierd resume')]),
    ...(saveProblem === undefined
      ? []
      : [finding('what was set over REST is not saved', saveProblem, 'make room in the state directory')]),
  ];
}

function finding(title: string, value: string, remedy: string): Finding {
  return { id: SETTINGS_FINDING, severity: 'warning', title, evidence: [{ file: 'settings.json', value }], remedy };
}
