import { movePagesJob } from './move-pages.ts';

movePagesJob('6.12');
