"""Style and script of the page of lips."""

STYLE = """
:root{color-scheme:light dark;--ink:#1c2430;--soft:#67717f;--line:#d9dee6;--back:#fbfcfe;--card:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#e8ecf2;--soft:#98a2b1;--line:#333b47;--back:#14181e;--card:#1b2027}}
*{box-sizing:border-box}body{margin:0;font:14px/1.4 system-ui,sans-serif;color:var(--ink);background:var(--back)}
header{padding:18px 22px 8px;position:sticky;left:0}h1{font-size:20px;margin:0 0 10px;font-weight:650}
header p{margin:2px 0;color:var(--soft)}
.figures{display:flex;flex-wrap:wrap;gap:8px;list-style:none;margin:0 0 8px;padding:0}
.figures li{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:6px 12px;color:var(--soft)}
.figures b{display:block;font-size:17px;color:var(--ink);font-variant-numeric:tabular-nums}
.bar{display:flex;flex-wrap:wrap;align-items:center;gap:16px;margin-top:8px}
.bar label{display:flex;align-items:center;gap:8px;color:var(--soft)}
audio{height:34px}
output{flex:1 1 100%;height:40px;overflow:hidden;font-size:12px;font-variant-numeric:tabular-nums;color:var(--soft)}
main{overflow-x:auto;padding:0 22px 30px}#strip{position:relative;min-width:100%}
.ticks{position:relative;height:18px;border-bottom:1px solid var(--line)}
.ticks span{position:absolute;font-size:11px;color:var(--soft);padding-left:3px;border-left:1px solid var(--line)}
section{position:relative;margin:6px 0 10px;background:var(--card);border:1px solid var(--line);border-radius:8px}
h2{position:sticky;left:8px;display:inline-block;z-index:2;margin:0;padding:2px 8px;font-size:11px;font-weight:500;
color:var(--soft);pointer-events:none}
h2 button{pointer-events:auto;font:inherit;border:0;background:none;color:var(--c);cursor:pointer;padding:0 5px;
font-weight:650}h2 button.off{opacity:.35;text-decoration:line-through}
svg{position:absolute;left:0;top:20px;width:100%;height:calc(100% - 23px)}
polyline{fill:none;stroke-width:1.6;vector-effect:non-scaling-stroke;stroke-linejoin:round}
polyline.off{display:none}.wave{fill:#7f8ea3}
line{vector-effect:non-scaling-stroke;stroke:var(--soft)}.limit{stroke-dasharray:5 4}.zero{stroke:var(--line)}
.made{fill:#2e9e6b44}.missed{fill:#e4572e66}
.phones div{position:relative;height:24px;margin:1px 0}.phones div:empty{display:none}
.phones i{position:absolute;top:0;height:22px;overflow:hidden;white-space:nowrap;font-style:normal;font-size:12px;
text-align:center;line-height:22px;border-radius:4px;border:1px solid var(--card);color:#1c2430;background:#cdd5df}
.phones .word{background:none;color:var(--ink);border-color:var(--line)}
.phones .lips{background:#ef8f76}.phones .teeth{background:#f3bd6a}.phones .tongue{background:#b9c8dc}
.phones .hiss{background:#c7b3e5}.phones .open{background:#8cc6a0}.phones .wide{background:#bfe0a5}
.phones .round{background:#8fc3e8}.phones .silent{background:none}
#cursor{position:absolute;top:0;bottom:0;width:1px;background:#e4572e;pointer-events:none;z-index:3}
"""

SCRIPT = """
const strip=document.getElementById('strip'),zoom=document.getElementById('zoom'),now=document.getElementById('now');
const cursor=document.getElementById('cursor'),scroll=document.getElementById('scroll');
const audio=document.querySelector('audio');
function size(){const c=time();strip.style.width=Math.max(scroll.clientWidth-44,DATA.seconds*zoom.value)+'px';at(c)}
function time(){return parseFloat(cursor.dataset.t||'0')}
function at(t){t=Math.max(0,Math.min(DATA.seconds,t));cursor.dataset.t=t;cursor.style.left=100*t/DATA.seconds+'%';
let text=t.toFixed(2)+' s';
for(const line of document.querySelectorAll('polyline[data-curve]')){if(line.classList.contains('off')||
!line.dataset.curve)continue;const p=line.points,n=p.numberOfItems;if(!n)continue;
const last=p.getItem(n-1).x||1,i=Math.min(n-1,Math.round(1000*t/DATA.seconds/last*(n-1)));
text+='  '+line.dataset.curve+' '+(100-p.getItem(i).y).toFixed(0)+'%'}
now.textContent=text.slice(0,400)}
strip.addEventListener('pointermove',e=>{if(!audio||audio.paused)at((e.clientX-strip.getBoundingClientRect().left)/
strip.clientWidth*DATA.seconds)});
strip.addEventListener('click',e=>{
const t=(e.clientX-strip.getBoundingClientRect().left)/strip.clientWidth*DATA.seconds;
at(t);if(audio)audio.currentTime=t});
if(audio){const step=()=>{if(!audio.paused){at(audio.currentTime);const x=cursor.offsetLeft;
if(x<scroll.scrollLeft||x>scroll.scrollLeft+scroll.clientWidth-80)scroll.scrollLeft=x-80;requestAnimationFrame(step)}};
audio.addEventListener('play',step);audio.addEventListener('seeked',()=>at(audio.currentTime))}
for(const key of document.querySelectorAll('h2 button'))key.addEventListener('click',e=>{e.stopPropagation();
key.classList.toggle('off');for(const line of key.closest('section').querySelectorAll('polyline'))
if(line.dataset.curve===key.dataset.curve)line.classList.toggle('off')});
zoom.addEventListener('input',size);addEventListener('resize',size);size();
"""
