import { serverTime } from '../api/clock';
import { Ago, useNow } from './Ago';
import { StateBadge } from './StateBadge';
import { nearEnd, parseTime } from './time';
import { answerLook } from './verdict';

const looks = {
  near: { word: 'ends soon', look: answerLook('warning') },
  over: { word: 'ended', look: answerLook('fail') },
};

/** When something ends: within so many ms of it, or after it, with a sign that nobody overlooks. */
export function Expiry({ time, within }: { time: string | undefined; within: number }) {
  const now = serverTime(useNow());
  const at = parseTime(time);
  if (at === undefined) return <>–</>;
  const near = nearEnd(at, now, within);
  return (
    <>
      <Ago time={time} /> {near !== 'far' && <StateBadge state={looks[near].word} look={looks[near].look} />}
    </>
  );
}
