FROM python:3.11-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app

COPY requirements.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --requirement requirements.txt

COPY . .
RUN useradd --system --create-home scriptorium && install -d -o scriptorium -g scriptorium /data
USER scriptorium

ENV DATA_DIR=/data HOST=0.0.0.0 PORT=8000
VOLUME /data
EXPOSE 8000
# Asked by the name that the server answers to.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "\
import os, urllib.request as http; \
host = os.environ.get('ALLOWED_HOSTS', '').split(',')[0].strip('.* ') or 'localhost'; \
http.urlopen(http.Request('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', headers={'Host': host}))"]
ENTRYPOINT ["python", "manage.py"]
CMD ["serve"]
