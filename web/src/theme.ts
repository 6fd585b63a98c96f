import { type CSSVariablesResolver, createTheme } from '@mantine/core';

/** The fonts that every system has: none is loaded. */
const sans = 'system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", "DejaVu Sans", sans-serif';
const mono = 'ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", "DejaVu Sans Mono", monospace';

export const theme = createTheme({
  primaryColor: 'indigo',
  primaryShade: { light: 8, dark: 8 },
  fontFamily: sans,
  fontFamilyMonospace: mono,
  headings: { fontFamily: sans, fontWeight: '600' },
  defaultRadius: 'sm',
  cursorType: 'pointer',
  autoContrast: true,
  components: {
    // Coloured text on the page's background is below WCAG AA with some colours: border and icon have the colour, the text the page's own.
    Alert: {
      styles: { message: { color: 'var(--mantine-color-text)' }, title: { color: 'var(--mantine-color-text)' } },
    },
    Badge: { defaultProps: { tt: 'none' }, styles: { label: { color: 'var(--mantine-color-text)' } } },
    // A <header> outside of the page's own parts would be a second banner for screen readers.
    ModalHeader: { defaultProps: { component: 'div' } },
    Notification: { defaultProps: { closeButtonProps: { 'aria-label': 'Close' } } },
  },
});

/** Mantine's own quiet greys are below WCAG AA on their backgrounds. */
export const variables: CSSVariablesResolver = () => ({
  variables: {},
  light: {
    '--mantine-color-dimmed': '#495057',
    '--mantine-color-placeholder': '#5c636a',
    '--mantine-color-anchor': '#364fc7',
    '--mantine-color-error': '#c92a2a',
  },
  dark: {
    '--mantine-color-dimmed': '#b8b8b8',
    '--mantine-color-placeholder': '#a6a7ab',
    '--mantine-color-anchor': '#91a7ff',
    '--mantine-color-error': '#ff8787',
    // Of what is unknown or left out: its own would be that of the page.
    '--mantine-color-gray-filled': 'var(--mantine-color-gray-6)',
  },
});
