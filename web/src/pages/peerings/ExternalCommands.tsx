import { List, Stack, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import type { Peering } from '../../api/types';
import { Command } from '../../kit/Copy';
import { command } from '../../kit/shell';
import { endsOf } from './peering';

/** What two operators do to hand over the token of a peering with a cluster that isthmus does not run. The token itself is never here. */
export function ExternalCommands({ peering }: { peering: Peering }) {
  const [acceptor, dialer] = endsOf(peering);
  return (
    <Stack gap="xs">
      <Title order={3} size="h5">
        How the token gets {acceptor.external ? 'here' : `to ${dialer.name}`}
      </Title>
      {acceptor.external ? (
        <WeDial name={peering.name} theirs={acceptor.name} ours={dialer.name} peer={acceptor.peerName || dialer.name} />
      ) : (
        <TheyDial
          name={peering.name}
          ours={acceptor.name}
          theirs={dialer.name}
          peer={dialer.peerName || acceptor.name}
        />
      )}
    </Stack>
  );
}

interface Names {
  /** The Peering's. */
  name: string;
  ours: string;
  theirs: string;
  /** What our end is called in their Consul. */
  peer: string;
}

/** Their Consul uses a token of ours. */
export function TheyDial({ name, ours, theirs, peer }: Names) {
  const key = `${name}.key`;
  const sealed = `${name}.token.age`;
  return (
    <List type="ordered" size="sm" spacing="sm">
      <Step text={<>The operator of {theirs} makes an age key, and sends you the public half (age1…):</>}>
        <Command text={command`age-keygen -o ${key}`} what="the command that makes a key" />
      </Step>
      <Step
        text={
          <>
            On the host of {ours}’s agent, with its data directory and its Consul settings, make the token. Put their
            key in the place of <span className="mono">age1…</span>:
          </>
        }
      >
        <Command
          text={command`isthmus peering token ${name} --recipient age1… --data-dir /var/lib/isthmus-agent --out ${sealed}`}
          what="the command that makes the token"
        />
      </Step>
      <Step
        text={
          <>
            Send them <span className="mono">{sealed}</span>: only they can open it. They open it and have their Consul
            use it:
          </>
        }
      >
        <Command
          text={command`consul peering establish -name ${peer} -peering-token "$(age --decrypt -i ${key} ${sealed})"`}
          what="the command that uses the token"
        />
      </Step>
    </List>
  );
}

/** Our Consul uses a token of theirs. */
export function WeDial({ name, ours, theirs, peer }: Names) {
  const file = `${name}.token`;
  return (
    <List type="ordered" size="sm" spacing="sm">
      <Step
        text={
          <>The operator of {theirs} has their Consul make a token, and sends it to you by a way that you both trust:</>
        }
      >
        <Command
          text={command`(umask 077; consul peering generate-token -name ${peer} > ${file})`}
          what="the command that makes the token"
        />
      </Step>
      <Step
        text={
          <>
            Where the fleet key is, bring it in. It is sealed there to {ours}’s agents; the server gets ciphertext. The
            API token comes from <span className="mono">ISTHMUS_TOKEN_FILE</span>:
          </>
        }
      >
        <Command
          text={command`isthmus peering import ${name} --token-file ${file}`}
          what="the command that brings the token in"
        />
      </Step>
      <Step text="Delete the file: who has the token can use it.">
        <Command text={command`shred -u ${file}`} what="the command that deletes the file" />
      </Step>
    </List>
  );
}

function Step({ text, children }: { text: ReactNode; children: ReactNode }) {
  return (
    <List.Item styles={{ itemWrapper: { width: '100%' }, itemLabel: { width: '100%' } }}>
      <Text size="sm" mb={4}>
        {text}
      </Text>
      {children}
    </List.Item>
  );
}
