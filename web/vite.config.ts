import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { compress } from './build/compress';

// What `npm run dev` passes on to a server: the dashboard uses nothing but its REST API.
const server = process.env.ISTHMUS_ADDR ?? 'http://127.0.0.1:8700';

export default defineConfig({
  plugins: [react(), compress()],
  build: {
    outDir: 'dist/app',
    emptyOutDir: true,
    target: 'es2023',
    // Assets as data: URLs would need a wider Content-Security-Policy.
    assetsInlineLimit: 0,
    // One stylesheet for all: a page whose own did not come would be shown without it, when its code is asked for again (see src/api/code.ts).
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { '/v1': { target: server, changeOrigin: true } } },
});
