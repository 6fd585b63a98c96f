import { labelTexts } from './labels';
import classes from './labels.module.css';

/** Labels, sorted by key. Plain elements: a table has thousands of them. */
export function Labels({ labels }: { labels: Record<string, string> }) {
  const texts = labelTexts(labels);
  if (texts.length === 0) return <>–</>;
  return (
    <span className={classes.labels}>
      {texts.map((text) => (
        <span key={text} className={classes.label}>
          {text}
        </span>
      ))}
    </span>
  );
}
