import { movePagesJob } from '../move-pages.ts';

movePagesJob('7.3');
