import { ApiError } from '../api/error';
import { useScope } from '../shell/scope';
import { Empty } from './Empty';
import { PageLink } from './links';
import { Page } from './Page';

/** Tells whether a question failed because what it is about is not there. */
export function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.fault === 'not-found';
}

interface Props {
  kind: string;
  name: string;
  title?: string;
  /** The page of all of them, and what that is called. */
  list: string;
  all: string;
}

/** Stands in the place of a resource's page when there is no such resource. */
export function Gone({ kind, name, title = name, list, all }: Props) {
  const { scoped } = useScope();
  const happened = `/events?${new URLSearchParams({ kind, target: name }).toString()}`;
  return (
    <Page title={title}>
      <Empty title={`There is no ${kind} ${name}`}>
        It was deleted, or never was.{' '}
        <PageLink underlined to={scoped(list)}>
          {all}
        </PageLink>{' '}
        or{' '}
        <PageLink underlined to={happened}>
          what happened to it
        </PageLink>
        .
      </Empty>
    </Page>
  );
}
