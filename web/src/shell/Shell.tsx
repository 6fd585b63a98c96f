import { ActionIcon, AppShell, Badge, Burger, Group, Menu, NavLink, Text, useMantineColorScheme } from '@mantine/core';
import { useDisclosure } from '@mantine/hooks';
import { IconLogout, IconMoon, IconSun, IconUser } from '@tabler/icons-react';
import { type ReactNode, useEffect } from 'react';
import { Link, useLocation } from 'react-router';
import { useSession } from './context';
import { DatacenterSwitcher } from './DatacenterSwitcher';
import { FeedBanner, FeedMark } from './FeedBanner';
import { pageOf, pages } from './pages';
import { useScope } from './scope';

/** What stands around each page: where one is, which datacenter is looked at, whether it is live, who is logged in. */
export function Shell({ children, onLogout }: { children: ReactNode; onLogout: () => void }) {
  const [opened, { toggle, close }] = useDisclosure();
  const { pathname } = useLocation();
  const { scoped } = useScope();
  const current = pageOf(pathname);

  useEffect(close, [pathname, close]);

  return (
    <AppShell
      header={{ height: 52 }}
      navbar={{ width: 200, breakpoint: 'sm', collapsed: { mobile: !opened } }}
      padding="md"
    >
      <AppShell.Header>
        <a className="skip-link" href="#main">
          Skip to the page
        </a>
        <Group h="100%" px="md" gap="sm" justify="space-between" wrap="nowrap">
          <Group gap="sm" wrap="nowrap">
            <Burger opened={opened} onClick={toggle} hiddenFrom="sm" size="sm" aria-label="Navigation" />
            <DatacenterSwitcher />
          </Group>
          <Group gap="xs" wrap="nowrap">
            <FeedMark />
            <ColorScheme />
            <UserMenu onLogout={onLogout} />
          </Group>
        </Group>
      </AppShell.Header>
      <AppShell.Navbar p="xs" aria-label="Pages">
        {pages.map(({ path, title, icon: Icon }) => (
          <NavLink
            key={path}
            component={Link}
            // The list of all datacenters is of all.
            to={path === '/datacenters' ? path : scoped(path)}
            label={title}
            leftSection={<Icon size={18} aria-hidden />}
            active={path === current}
            aria-current={path === current ? 'page' : undefined}
          />
        ))}
        <Text size="xs" c="dimmed" mt="auto" px="xs">
          isthmus
        </Text>
      </AppShell.Navbar>
      <AppShell.Main id="main" tabIndex={-1}>
        <FeedBanner />
        {children}
      </AppShell.Main>
    </AppShell>
  );
}

function ColorScheme() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const dark = colorScheme === 'dark' || (colorScheme === 'auto' && matchMedia('(prefers-color-scheme: dark)').matches);
  return (
    <ActionIcon
      variant="default"
      size="lg"
      aria-label={dark ? 'Light colours' : 'Dark colours'}
      onClick={() => setColorScheme(dark ? 'light' : 'dark')}
    >
      {dark ? <IconSun size={18} /> : <IconMoon size={18} />}
    </ActionIcon>
  );
}

function UserMenu({ onLogout }: { onLogout: () => void }) {
  const { session } = useSession();
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="default" size="lg" aria-label={`Logged in as ${session.actor}`}>
          <IconUser size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>
          {session.actor} <Badge variant="default">{session.role}</Badge>
        </Menu.Label>
        <Menu.Item leftSection={<IconLogout size={16} aria-hidden />} onClick={onLogout}>
          Log out
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}
