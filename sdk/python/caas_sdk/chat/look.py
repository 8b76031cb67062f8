"""The colours and places of the terminal client, in Textual's CSS."""

LOOK = """
Screen { background: #16161e; color: #c0caf5; }
#top { height: 1; padding: 0 1; background: #1f2335; }
#title { width: 1fr; }
#state { width: auto; }
#rows { width: 28; height: 1fr; border: none; border-right: solid #2a2e3f; background: #16161e; padding: 0 1; }
#rows > .option-list--option-highlighted { background: #2a2e3f; }
#bubbles { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
Bubble { height: auto; margin: 0 0 1 0; padding: 0 1; border-left: outer #16161e; }
Bubble.own { border-left: outer #3b4261; }
Bubble.chosen { background: #24283b; border-left: outer #7aa2f7; }
#typing { height: 1; padding: 0 2; color: #7dcfff; text-style: italic; }
#about { height: auto; max-height: 14; padding: 0 2; color: #e0af68; display: none; }
#about.told { display: block; }
#write { border: round #3b4261; background: #16161e; margin: 0 1; }
#write:focus { border: round #7aa2f7; }
Footer { background: #1f2335; }
Picker { align: center middle; background: #16161e 60%; }
#emoji { width: auto; height: 3; padding: 1 2; background: #24283b; }
"""
